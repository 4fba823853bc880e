"""Figures that move: HTML around a Bokeh document, for a static page without a server.

Vocabulary
----------
- *widget*: a figure that answers to the reader, beside a figure that stands still. Its anchor on
  the page is ``widget-`` and the name of what ``widgets.js`` does with it, such as ``drag``.
- *control*: an ordinary element of HTML, which keyboards and screen readers know.

A page carries the widget's data and one small script. That script asks for Bokeh's, which is large,
when the reader presses the widget's button; both lie in the book's ``_static``, where
`script_files` says what belongs.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpmlib.book.markup import safe_json

if TYPE_CHECKING:
    from bokeh.plotting import figure

    from cpmlib.book.page import Page

HEIGHT = 340
"""Of a plot, in pixels; its width is the page's."""

_HERE = Path(__file__).parent

_TEMPLATE = """\
<div class="cpm-widget tex2jax_ignore mathjax_ignore" role="group" aria-label="{title}" \
data-kind="{kind}">
<p class="cpmw-head"><strong>{title}</strong>{label}</p>
<p>{see}</p>
<button type="button" data-part="start" hidden>Make it move</button>
<noscript><p>This needs JavaScript; the figures and tables of the page do not.</p></noscript>
<div data-part="stage" hidden>
<div class="cpmw-bar">{controls}</div>
<div class="cpmw-plot" data-part="plot"{keys}></div>
<div class="cpmw-read" data-part="read"></div>
<p data-part="said" aria-live="polite"></p>
</div>
<script type="application/json" data-part="data">{data}</script>
<script defer src="../_static/widgets.js"></script>
</div>"""


def script_files() -> list[Path]:
    """Return the scripts that the pages' widgets load from the book's ``_static``."""
    from bokeh.util.paths import bokehjs_path

    bokeh = Path(bokehjs_path()) / "js" / "bokeh.min.js"
    return [_HERE / "widgets.js", _HERE / "statistics.js", bokeh]


def show_widget(
    page: Page,
    kind: str,
    title: str,
    see: str,
    plots: Sequence[figure],
    data: Mapping[str, Any],
    *,
    controls: str = "",
    keys: str = "",
    label: str | None = None,
) -> None:
    """Show a widget on a page.

    Parameters
    ----------
    kind, title
        What `widgets.js` knows it by, and its name on the page.
    see
        What one should see, in a sentence or two.
    plots, data
        Bokeh's part, and what the script needs besides.
    controls
        HTML of its controls, as `select`, `slider` and `button` write them.
    keys
        What keys do while the plot has the focus; without it, it takes none.
    label
        What must be said of its data; the dataset's label if None.
    """
    if page.output is None:
        page.html(f"<p>The built book lets you move this: {html.escape(title)}.</p>")
        return
    said = page.dataset.label if label is None else label
    page.html(widget_html(kind, title, see, said, plots, data, controls=controls, keys=keys))


def widget_html(
    kind: str,
    title: str,
    see: str,
    label: str,
    plots: Sequence[figure],
    data: Mapping[str, Any],
    *,
    controls: str = "",
    keys: str = "",
) -> str:
    """Write a widget; arguments as `show_widget`. Equal ones give equal bytes."""
    shown = f'<span class="cpmw-label">{html.escape(label)}</span>' if label else ""
    focus = f' tabindex="0" role="application" aria-label="{html.escape(keys)}"' if keys else ""
    return _TEMPLATE.format(
        kind=kind,
        title=html.escape(title),
        label=shown,
        see=html.escape(see),
        controls=controls,
        keys=focus,
        data=safe_json({**data, "plot": document_of(plots, kind)}),
    )


def show_absence(page: Page, title: str, reason: str) -> None:
    """Say in place of a widget why there is none."""
    page.html(
        f'<p class="cpm-widget"><strong>{html.escape(title)}</strong>: '
        f"not shown, since {html.escape(reason)}.</p>"
    )


def document_of(plots: Sequence[figure], kind: str) -> dict[str, Any]:
    """Return a Bokeh document as plain JSON, its models numbered from 1 behind the kind.

    Bokeh numbers them over all that a process has made, so that equal plots would differ.
    """
    from bokeh.document import Document

    document = Document(title=kind)
    for one in plots:
        document.add_root(one)
    names: dict[str, str] = {}

    def named(part: Any) -> Any:
        if isinstance(part, list):
            return [named(one) for one in part]
        if not isinstance(part, dict):
            return part
        result = {key: named(value) for key, value in part.items() if key != "id"}
        if "id" in part:
            result["id"] = names.setdefault(part["id"], f"{kind}-{len(names) + 1}")
        return result

    content: dict[str, Any] = named(document.to_json(deferred=False))
    return content


def plot(
    x_label: str,
    y_label: str,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    **more: Any,
) -> figure:
    """Make an empty plot as wide as the page, on white as the still figures are."""
    from bokeh.plotting import figure

    settings: dict[str, Any] = {
        "x_axis_label": x_label,
        "y_axis_label": y_label,
        "x_range": x_range,
        "y_range": y_range,
        "height": HEIGHT,
        "sizing_mode": "stretch_width",
        "tools": "",
        "toolbar_location": None,
        "background_fill_color": "white",
        "border_fill_color": "white",
        "min_border_right": 12,
    }
    return figure(**(settings | more))


def select(part: str, name: str, choices: Sequence[tuple[str, str]]) -> str:
    """Write a menu of choices: value and text.

    Examples
    --------
    >>> select("subset", "Samples", [("whole", "Whole cohort")])
    '<label>Samples <select data-part="subset"><option value="whole">Whole
    cohort</option></select></label>'
    """
    options = "".join(
        f'<option value="{html.escape(value)}">{html.escape(text)}</option>'
        for value, text in choices
    )
    return f'<label>{html.escape(name)} <select data-part="{part}">{options}</select></label>'


def slider(part: str, name: str, low: float, high: float, step: float, value: float) -> str:
    """Write a slider with the number that it stands at, which the script fills in.

    Examples
    --------
    >>> slider("q", "Q (%)", 0, 10, 0.5, 1)
    '<label>Q (%) <input data-part="q" type="range" min="0" max="10" step="0.5"
    value="1"><output data-part="q-value">1</output></label>'
    """
    return (
        f'<label>{html.escape(name)} <input data-part="{part}" type="range" min="{low:g}" '
        f'max="{high:g}" step="{step:g}" value="{value:g}">'
        f'<output data-part="{part}-value">{value:g}</output></label>'
    )


def button(part: str, name: str) -> str:
    """Write a button.

    Examples
    --------
    >>> button("reset", "Reset")
    '<button type="button" data-part="reset">Reset</button>'
    """
    return f'<button type="button" data-part="{part}">{html.escape(name)}</button>'
