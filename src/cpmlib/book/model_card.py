"""The training card of a model, for a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pandas as pd

from cpmlib.cpm.card import ModelCard


def training_card(card: ModelCard | None) -> pd.DataFrame:
    """List a card for a reader: ``entry`` and ``value``, both text; of None, nothing."""
    rows = []
    for field in fields(card) if card else ():
        value = getattr(card, field.name)
        if isinstance(value, Mapping):
            named = ((name.replace("_", " "), _written(item)) for name, item in value.items())
            value = ", ".join(f"{name}: {item}" for name, item in named)
        rows.append((field.metadata["shown"], _written(value)))
    return pd.DataFrame(rows, columns=["entry", "value"])


def training_sentences(card: ModelCard | None, published_rmse: float) -> str:
    """Say in Markdown on how many patients a model was trained and tested, and how it did.

    `published_rmse` is in cells/mm2; there is no card if no map of the study was predicted here.

    Examples
    --------
    >>> training_sentences(None, 1015.0).startswith("No map of this study was predicted")
    True
    """
    if card is None:
        return (
            "No map of this study was predicted here: it brings its own values or its own maps."
            f" The published model's test error was **{published_rmse:.0f}** cells/mm²."
        )
    patients = card.n_patients
    text = (
        f"**{patients['train']}** patients trained this model and **{patients['test']}** tested it."
        f" The test error is **{card.test_rmse:.0f}** cells/mm²; the published model's was"
        f" **{published_rmse:.0f}**."
    )
    if card.synthetic:
        text += (
            " The two are not to be compared: synthetic tissue is as hard to predict as it is made."
        )
    return text


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return (" to " if len(value) == 2 else ", ").join(map(_written, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return str(value)
