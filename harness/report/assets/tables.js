// Sorting by a column, filters of rows, and the choice of a part of the page.
"use strict";

// A click on a column's name sorts down, then up, then not at all.
report.sortable = (table) => {
  const { element, state } = report;
  const body = table.tBodies[0];
  const original = [...body.rows];
  const heads = [...table.tHead.rows[0].cells].filter((head) => head.hasAttribute("data-key"));

  const next = (key) => {
    const { sort, order } = state.read();
    if (sort !== key) return { sort: key, order: "down" };
    return order === "down" ? { sort: key, order: "up" } : { sort: null, order: null };
  };
  for (const head of heads) {
    const key = head.dataset.key || "name";
    head.dataset.key = key;
    head.replaceChildren(element("button", { type: "button", click: () => state.write(next(key)) }, ...head.childNodes));
  }

  const value = (row, place) => {
    const cell = row.cells[place];
    return cell.dataset.value ?? cell.textContent.trim();
  };
  const compare = (one, other) => {
    const numbers = [Number(one), Number(other)];
    return numbers.some(Number.isNaN) ? one.localeCompare(other, "en", { numeric: true }) : numbers[0] - numbers[1];
  };
  let sorted = false;
  return ({ sort, order }) => {
    const chosen = heads.find((head) => head.dataset.key === sort);
    for (const head of heads) {
      const names = { down: "descending", up: "ascending" };
      head.setAttribute("aria-sort", head === chosen ? names[order] : "none");
    }
    if (!chosen && !sorted) return; // a long table opens faster where it may stay as it is
    sorted = Boolean(chosen);
    const place = chosen ? chosen.cellIndex : -1;
    const sign = order === "up" ? 1 : -1;
    const keyed = original.map((row) => [chosen ? value(row, place) : "", row]);
    const full = keyed.filter(([key]) => key !== "");
    const empty = keyed.filter(([key]) => key === ""); // what has no value comes last, either way
    if (chosen) full.sort(([one], [other]) => sign * compare(one, other));
    body.append(...[...full, ...empty].map(([, row]) => row));
  };
};

// Hide the rows that lack one of the words, or that another choice of a group was made for; and, until all are asked
// for, those beyond the number that a long table says, for thousands of rows take a browser seconds.
report.filter = (tables, { filter = "", all, ...rest }) => {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const facets = [...document.querySelectorAll("select[data-facet]")].map((select) => select.dataset.facet);
  const wanted = facets.filter((facet) => rest[facet]);
  const fits = (row) => {
    const text = words.length ? row.textContent.toLowerCase() : "";
    return words.every((word) => text.includes(word)) && wanted.every((facet) => row.dataset[facet] === rest[facet]);
  };
  const counts = tables.map((table) => {
    const rows = [...table.tBodies[0].rows];
    const fitting = rows.filter(fits);
    const shown = new Set(all ? fitting : fitting.slice(0, table.dataset.most ?? rows.length));
    for (const row of rows) row.hidden = !shown.has(row);
    return { rows: rows.length, fitting: fitting.length, shown: shown.size };
  });
  const [count = { rows: 0, fitting: 0, shown: 0 }] = counts; // tables of one page have the same rows
  const counter = document.querySelector("[data-count]");
  if (counter) counter.textContent = count.shown < count.rows ? `${count.shown} of ${report.count(count.rows, "row")}` : report.count(count.rows, "row");
  const button = document.querySelector("[data-all]");
  if (button) button.hidden = count.shown === count.fitting;
};

// Controls write to the address, and the address sets the controls.
report.controls = () => {
  const controls = new Map([
    ...[...document.querySelectorAll("[data-filter]")].map((input) => ["filter", input]),
    ...[...document.querySelectorAll("[data-show]")].map((select) => [select.dataset.show, select]),
    ...[...document.querySelectorAll("[data-facet]")].map((select) => [select.dataset.facet, select]),
  ]);
  for (const [name, control] of controls) {
    control.addEventListener("input", () => report.state.write({ [name]: control.value }));
    control.form?.addEventListener("submit", (event) => event.preventDefault());
  }
  document.querySelector("[data-all]")?.addEventListener("click", () => report.state.write({ all: "yes" }));
  return (state) => {
    for (const [name, control] of controls) {
      if (control.value !== (state[name] ?? "")) control.value = state[name] ?? "";
    }
    for (const part of document.querySelectorAll("[data-part]")) {
      part.hidden = Boolean(state.metric) && part.dataset.part !== state.metric;
    }
  };
};

{
  const tables = [...document.querySelectorAll("table.sortable")];
  const sorters = tables.map(report.sortable);
  const set = report.controls();
  const filtered = tables.filter((table) => table.matches(".cells, .runs"));
  report.state.follow((state) => {
    set(state);
    for (const sort of sorters) sort(state);
    report.filter(filtered, state);
  });
}
