// Elements and numbers. Texts are only ever set as text: nothing in a name or a setting can become markup.
"use strict";

// An element with attributes (functions are listeners) and children (elements or texts).
report.element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
};

// A table of cells that are texts, elements, or [text, value to sort by].
report.table = (head, lines, name = "") => {
  const { element } = report;
  const cell = (content, place) => {
    if (place === 0) return element("th", { scope: "row" }, content);
    if (Array.isArray(content)) return element("td", { "data-value": content[1] ?? "" }, content[0]);
    return element("td", { class: "word" }, content);
  };
  const table = element(
    "table",
    { class: name },
    element("thead", {}, element("tr", {}, head.map((title) => element("th", { scope: "col", "data-key": title }, title)))),
    element("tbody", {}, lines.map((line) => element("tr", {}, line.map(cell)))),
  );
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": head.join(", ") }, table);
};

// A number in few digits; "-" where there is none.
report.number = (value, digits) => {
  if (value === null || value === undefined) return "-";
  if (typeof value !== "number") return String(value);
  if (digits !== undefined && (value === 0 || Math.abs(value) >= 10 ** -digits)) return value.toFixed(digits);
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size < 1e-3 || size >= 1e6 ? Number(value.toPrecision(3)).toExponential() : String(Number(value.toPrecision(4)));
};

report.count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

report.text = (value) => (typeof value === "string" ? value : JSON.stringify(value));

report.link = (page, values) => `${document.body.dataset.root}${page}#${new URLSearchParams(values)}`;

// What a cell is called: a point of a sweep has no column.
report.cell = ({ row, column }) => (column ? `${row} × ${column}` : row);
