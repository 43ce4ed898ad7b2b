// Two runs side by side: where their configurations differ, metrics, images, losses.
"use strict";

{
  const { element, number, table } = report;
  const section = (title, ...content) => element("section", {}, element("h2", {}, title), ...content);
  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

  const differences = (name, a, b) => {
    const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((key) => !same(a[key], b[key]));
    if (!keys.length) return element("p", {}, "No difference.");
    const told = (values, key) => (key in values ? report.text(values[key]) : "-");
    return table([name, "A", "B"], keys.map((key) => [key, told(a, key), told(b, key)]), "words");
  };

  const metrics = (a, b) => {
    const names = [...new Set([a, b].flatMap((run) => report.metrics(run).map(([name]) => name)))];
    return table(
      ["metric", "A", "B", "B - A"],
      names.map((name) => {
        const [one, other] = [a.summary[name]?.mean, b.summary[name]?.mean];
        const gap = one == null || other == null ? null : other - one;
        return [name, [number(one), one], [number(other), other], [gap > 0 ? `+${number(gap)}` : number(gap), gap]];
      }),
    );
  };

  // The same target in both runs; a run without it has no picture of it.
  const images = (a, b) => {
    const place = new Map();
    b.rows.slice(0, b.images.shown).forEach((row, at) => place.has(row.target) || place.set(row.target, at));
    const common = a.rows.slice(0, a.images.shown).map((row, at) => [at, place.get(row.target)]).filter(([, at]) => at !== undefined);
    if (!common.length) return element("p", {}, "They attacked no image in common.");
    const line = ([one, other]) =>
      element("li", {}, report.image(a, one, 0, `Original, target ${a.rows[one].target}`),
        report.image(a, one, 1, `Reconstruction by A, ${report.psnr(a.rows[one])}`), element("small", {}, `A ${report.psnr(a.rows[one])}`),
        report.image(b, other, 1, `Reconstruction by B, ${report.psnr(b.rows[other])}`), element("small", {}, `B ${report.psnr(b.rows[other])}`));
    return element("ul", { class: "images" }, common.map(line));
  };

  const named = (letter, run) =>
    element("li", { class: `legend run-${letter === "A" ? 0 : 1}` }, element("strong", {}, letter), " ",
      element("a", { href: report.link("run.html", { run: run.id }) }, run.title), " ", element("code", {}, run.id),
      run.places.length ? ` ${run.places.map(report.cell).join(", ")}` : "");

  report.draw("runs", ["a", "b"], (a, b) => {
    document.title = `${a.id} and ${b.id} - harness`;
    const curves = report.chart([{ name: "A", curves: a.curves }, { name: "B", curves: b.curves }]);
    return [
      element("h1", {}, "Two runs"),
      element("ul", { class: "legends" }, named("A", a), named("B", b)),
      section("Where the configurations differ", differences("setting", a.config, b.config)),
      section("Metrics", metrics(a, b)),
      section("Images", element("p", { class: "hint" }, "Original, then what A and B made of it."), images(a, b)),
      section("Loss", curves ?? "No trace was kept."),
      section("Where the provenance differs", differences("origin", a.provenance, b.provenance)),
    ];
  });
}
