// Loss over evaluations, as an SVG: one line per image, one style per run.
"use strict";

{
  const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [640, 300, 64, 12, 12, 44];

  const shape = (name, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  const range = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);

  // Round numbers between two, about five of them.
  const rounds = (low, high) => {
    const rough = (high - low) / 5 || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * power).find((each) => each >= rough);
    const first = Math.ceil(low / step);
    return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, k) => (first + k) * step);
  };

  // Powers of ten between two exponents, not more than about six.
  const powers = (low, high) => {
    const step = Math.max(1, Math.ceil((high - low) / 6));
    const first = Math.ceil(low);
    return Array.from({ length: Math.floor((high - first) / step) + 1 }, (_, k) => first + k * step);
  };

  // `series`: [{name, curves: [{problem, points: [[evaluation, loss]]}]}]. Null where there are no points.
  report.curves = (series) => {
    const points = series.flatMap((run) => run.curves.flatMap((curve) => curve.points));
    if (!points.length) return null;
    const logarithmic = points.every(([, loss]) => loss > 0);
    const height = (loss) => (logarithmic ? Math.log10(loss) : loss);
    const [left, right] = range(points.map(([evaluation]) => evaluation));
    const [low, high] = range(points.map(([, loss]) => height(loss)));
    const x = (evaluation) => LEFT + ((evaluation - left) / (right - left || 1)) * (WIDTH - LEFT - RIGHT);
    const y = (loss) => HEIGHT - BOTTOM - ((height(loss) - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);

    const across = rounds(left, right).map((at) =>
      shape("g", { class: "tick" }, shape("line", { x1: x(at), x2: x(at), y1: TOP, y2: HEIGHT - BOTTOM }),
        shape("text", { x: x(at), y: HEIGHT - BOTTOM + 17, "text-anchor": "middle" }, String(at))));
    const levels = logarithmic && high - low >= 1 ? powers(low, high).map((power) => 10 ** power) : rounds(...(logarithmic ? [10 ** low, 10 ** high] : [low, high]));
    const up = levels.map((at) =>
      shape("g", { class: "tick" }, shape("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(at), y2: y(at) }),
        shape("text", { x: LEFT - 8, y: y(at) + 4, "text-anchor": "end" }, report.number(at))));
    const lines = series.flatMap((run, place) =>
      run.curves.filter((curve) => curve.points.length).map((curve) =>
        shape("polyline", { class: `curve run-${place}`, points: curve.points.map(([evaluation, loss]) => `${x(evaluation).toFixed(1)},${y(loss).toFixed(1)}`).join(" ") },
          shape("title", {}, `${run.name}, target ${curve.problem}: ${report.number(curve.points[0][1])} to ${report.number(curve.points.at(-1)[1])}`))));
    const label = shape("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, `evaluations (loss${logarithmic ? ", logarithmic" : ""}, upwards)`);
    const said = `Loss over evaluations of ${report.count(lines.length, "target")}, between ${report.number(range(points.map(([, loss]) => loss))[0])} and ${report.number(range(points.map(([, loss]) => loss))[1])}`;
    return shape("svg", { class: "curves", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said }, ...up, ...across, label, ...lines);
  };
}
