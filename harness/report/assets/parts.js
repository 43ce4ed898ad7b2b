// What the page of a run and that of two runs have in common.
"use strict";

// One image of a run's sprite: line 0 is the truth, line 1 the reconstruction.
report.image = (run, place, line, label) => {
  const { shown, width, height } = run.images;
  const scale = Math.max(1, Math.round(72 / height));
  const [wide, high] = [width * scale, height * scale];
  const made = report.element("span", { class: "image", role: "img", "aria-label": label });
  made.style.width = `${wide}px`;
  made.style.height = `${high}px`;
  made.style.backgroundImage = `url("${document.body.dataset.root}runs/${run.id}.png")`;
  made.style.backgroundSize = `${wide * shown}px ${high * 2}px`;
  made.style.backgroundPosition = `-${place * wide}px -${line * high}px`;
  return made;
};

report.psnr = (row) => (row?.psnr_unit == null ? "no PSNR" : `${row.psnr_unit.toFixed(1)} dB`);

// [name, statistics or null] of every metric of a run's summary.
report.metrics = (run) => Object.entries(run.summary).filter(([name]) => name !== "status");

report.statuses = (run) => Object.entries(run.summary.status ?? {}).map(([status, count]) => `${count} ${status}`).join(", ");

// Run a page that needs runs: the address names them, an error is said where they would stand.
report.draw = (place, names, draw) => {
  const target = document.getElementById(place);
  const empty = [...target.childNodes];
  let drawn = "";
  report.state.follow(async (state) => {
    const ids = names.map((name) => state[name]);
    if (ids.join() === drawn) return;
    drawn = ids.join();
    if (!ids.every(Boolean)) return target.replaceChildren(...empty);
    try {
      const runs = await Promise.all(ids.map(report.load));
      target.replaceChildren(...draw(...runs));
      for (const table of target.querySelectorAll("table.sortable")) report.state.follow(report.sortable(table));
    } catch (error) {
      target.replaceChildren(report.element("p", { class: "notice", role: "alert" }, `${error.message}.`));
    }
  });
};
