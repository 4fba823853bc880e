/* Filter and sort the ledger. */
document.addEventListener("DOMContentLoaded", () => {
  const make = tag => document.createElement(tag);
  const tables = [...document.querySelectorAll("table.ledger")];
  if (!tables.length) return;
  const rows = tables.flatMap(table => [...table.tBodies[0].rows]);
  const heads = [...tables[0].tHead.rows[0].cells].map(cell => cell.textContent.trim());
  /* All that stands with a table, from its heading on. */
  const blocks = new Map(tables.map(table => {
    let at = table.parentElement;
    while (at.tagName !== "H3") at = at.previousElementSibling;
    const block = [];
    do block.push(at); while ((at = at.nextElementSibling) && at.tagName !== "H3");
    table.classList.add("cards");
    return [table, block];
  }));
  const part = row => blocks.get(row.closest("table"))[0].textContent;
  const text = (row, column) => row.cells[column].textContent.trim();
  const column = heads.indexOf("Verdict");
  rows.forEach(row => heads.forEach((head, j) => {
    if (text(row, j)) row.cells[j].dataset.head = head;
  }));

  const form = make("form");
  form.className = "ledger-filter";
  const field = (name, tag) => {
    const control = make(tag);
    form.append(make("label"));
    form.lastChild.append(name, " ", control);
    return control;
  };
  const select = (name, first, names) => {
    const control = field(name, "select");
    [first, ...new Set(names)].forEach(option => control.add(new Option(option)));
    return control;
  };
  const words = field("Find", "input");
  const parts = select("Part", "all", rows.map(part));
  const verdicts = column < 0 ? null : select("Verdict", "all", rows.map(r => text(r, column)));
  const order = select("Sort by", "order of the paper", heads);
  const backwards = field("Backwards", "input");
  backwards.type = "checkbox";
  const count = field("", "output");

  /* 4 is found in 41, not in 0.4. */
  const finds = word => new RegExp(
    (/^[-\d.]+$/.test(word) ? "(^|[^\\d.])" : "") + word.replace(/\W/g, "\\$&"));

  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean).map(finds);
    for (const row of rows) {
      const all = row.textContent.toLowerCase();
      row.hidden = !(wanted.every(word => word.test(all))
        && (!parts.selectedIndex || part(row) === parts.value)
        && (!verdicts?.selectedIndex || text(row, column) === verdicts.value));
    }
    for (const [table, block] of blocks) {
      const none = !table.querySelector("tbody tr:not([hidden])");
      block.forEach(one => { one.hidden = none; });
    }
    count.textContent = `${rows.filter(row => !row.hidden).length} of ${rows.length} values`;
  };

  const sort = () => {
    const key = row => {
      if (!order.selectedIndex) return rows.indexOf(row);
      const found = text(row, order.selectedIndex - 1);
      const number = parseFloat(found.replace(/^([<>]|above |below )/, ""));
      return isNaN(number) ? found : number;
    };
    const compare = (a, b) => isNaN(a - b) ? String(a).localeCompare(b) : a - b;
    for (const { tBodies: [body] } of tables)
      body.append(...[...body.rows].sort((a, b) =>
        (backwards.checked ? -1 : 1) * compare(key(a), key(b))));
  };

  const follow = () => {
    const hash = decodeURIComponent(location.hash.slice(1));
    rows.forEach(row => row.classList.remove("marked"));
    if (hash.startsWith("q=")) {
      words.value = hash.slice(2);
      filter();
      return form.scrollIntoView();
    }
    const id = hash.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^(value-)?/, "value-");
    const row = document.getElementById(id)?.closest("table.ledger tr");
    if (!row) return;
    form.reset();
    filter();
    row.classList.add("marked");
    row.tabIndex = -1;
    row.focus();
    row.scrollIntoView({ block: "center" });
  };

  form.onsubmit = () => false;
  form.oninput = filter;
  form.onchange = sort;
  blocks.get(tables[0])[0].before(form);
  words.value = new URLSearchParams(location.search).get("q");
  filter();
  follow();
  onhashchange = follow;
});
