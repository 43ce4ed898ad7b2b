// One run: what it is part of, its metrics, images, loss, rows, configuration and provenance.
"use strict";

{
  const { element, number, table } = report;
  const section = (title, ...content) => element("section", {}, element("h2", {}, title), ...content);

  const metrics = (run) =>
    table(
      ["metric", "mean", "std", "95 % interval", "images"],
      report.metrics(run).map(([name, found]) => [
        name,
        [number(found?.mean), found?.mean],
        [number(found?.std), found?.std],
        [found?.ci95 ? found.ci95.map((end) => number(end)).join(" to ") : "-", found?.ci95?.[0]],
        [String(found?.n ?? 0), found?.n],
      ]),
    );

  const images = (run) =>
    element("ul", { class: "images" }, run.rows.slice(0, run.images.shown).map((row, place) =>
      element("li", {}, report.image(run, place, 0, `Original ${place}`), report.image(run, place, 1, `Reconstruction ${place}, ${report.psnr(row)}`),
        element("small", {}, report.psnr(row)))));

  const rows = (run) => {
    const names = [...new Set(run.rows.flatMap((row) => Object.keys(row)))];
    const head = ["image", ...names.filter((name) => name !== "image")];
    const lines = run.rows.map((row, place) => [`${place}`, ...head.slice(1).map((name) => [number(row[name]), row[name]])]);
    return table(head, lines, "sortable");
  };

  const places = (run) =>
    element("ul", {}, run.places.map(({ page, table: name, row, column, seed }) =>
      element("li", {}, element("a", { href: report.link(page, { row, column }) }, report.cell({ row, column })), `, seed ${seed}: ${name}`)));

  const pairs = (values) => table(["setting", "value"], Object.entries(values).map(([name, value]) => [name, report.text(value)]), "words");

  report.draw("run", ["run"], (run) => {
    document.title = `${run.title} - harness`;
    const curves = report.chart([{ name: run.id, curves: run.curves }]);
    return [
      element("h1", {}, run.title),
      element("p", {}, "Run ", element("code", {}, run.id), `, ${report.count(run.rows.length, "image")}: ${report.statuses(run)}. `,
        element("a", { class: "button", href: report.link("runs.html", { a: run.id }) }, "Compare with another")),
      run.changed.length ? element("p", { class: "changed" }, run.changed.join(" ")) : "",
      run.places.length ? section("Where it stands", places(run)) : "",
      section("Images", element("p", { class: "hint" }, `Original above reconstruction; ${run.images.shown} of ${run.rows.length}.`), images(run)),
      section("Loss", curves ? element("p", { class: "hint" }, `The first ${report.count(run.curves.length, "target")}, thinned; traces.jsonl has all.`) : "No trace was kept.", curves ?? ""),
      section("Metrics", metrics(run)),
      section("Rows", rows(run)),
      section("Configuration", pairs(run.config)),
      section("Provenance", pairs(run.provenance)),
    ];
  });
}
