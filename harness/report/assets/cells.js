// A click on a cell of a table: its numbers in full, and the runs behind it.
"use strict";

{
  const { element, link, number, state, table } = report;
  const cells = JSON.parse(document.getElementById("cells").textContent);
  const dialog = document.getElementById("cell");

  const interval = ({ low, high, values, digits }) =>
    low != null ? `${number(low, digits)} to ${number(high, digits)}` : values?.length ? values.map((value) => number(Number(value), digits)).join(", ") : "-";
  const difference = ({ mean, published, digits }) =>
    mean == null || published == null ? "-" : `${mean >= published ? "+" : ""}${number(mean - published, digits)}`;

  const arrow = ({ higher }) => (higher === undefined ? "" : higher ? " ↑" : " ↓");

  const numbers = (cell) => {
    const compared = cell.metrics.some(({ published }) => published != null);
    return table(
      ["metric", "measured", "std", "95 % interval, or values", "images", ...(compared ? ["paper", "difference"] : [])],
      cell.metrics.map((metric) => [
        metric.title + arrow(metric),
        [number(metric.mean, metric.digits), metric.mean],
        [number(metric.std, metric.digits), metric.std],
        [interval(metric), metric.low],
        [String(metric.n ?? 0), metric.n],
        ...(compared ? [[number(metric.published, metric.digits), metric.published], [difference(metric), null]] : []),
      ]),
    );
  };

  const pictures = (run) =>
    element(
      "a",
      { href: link("run.html", { run: run.run }) },
      element("img", {
        class: "strip",
        alt: `Originals above what was recovered by run ${run.run}`,
        src: `${document.body.dataset.root}runs/${run.run}.png`,
      }),
    );

  const behind = (run) =>
    element(
      "li",
      {},
      element("p", {}, `Seed ${run.seed || "of the configuration"}, run `, element("code", {}, run.run)),
      run.here
        ? element(
            "p",
            {},
            element("a", { class: "button", href: link("run.html", { run: run.run }) }, "Images, loss, rows, config"),
            " ",
            element("a", { class: "button", href: link("runs.html", { a: run.run }) }, "Compare with another"),
          )
        : element("p", { class: "hint" }, run.finished ? "This run is not in the runs that the report was built from." : "Not finished."),
      run.here ? pictures(run) : null,
      element("details", {}, element("summary", {}, "Overrides that make it"), element("pre", {}, run.overrides.join("\n"))),
    );

  const close = () => state.write({ row: null, column: null });

  const show = (cell) => {
    dialog.replaceChildren(
      element("button", { class: "close", type: "button", "aria-label": "Close", click: close }, "×"),
      element("h2", { id: "cell-title" }, report.cell(cell)),
      numbers(cell),
      element("h3", {}, cell.runs.length === 1 ? "The run behind it" : "The runs behind it"),
      cell.runs.length ? element("ul", { class: "behind" }, cell.runs.map(behind)) : element("p", {}, "None is known."),
    );
    if (!dialog.open) dialog.showModal();
  };

  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    close();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close();
  });
  for (const anchor of document.querySelectorAll("table.cells td a")) {
    anchor.addEventListener("click", (event) => {
      event.preventDefault();
      state.write(Object.fromEntries(new URLSearchParams(anchor.hash.slice(1))));
    });
  }
  state.follow(({ row, column }) => {
    const cell = cells.find((found) => found.row === row && found.column === (column ?? ""));
    if (cell) show(cell);
    else if (dialog.open) dialog.close();
  });
}
