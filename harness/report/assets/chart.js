// Loss over evaluations, drawn by plotly.js: a line per image, and where runs are compared a style per run.
"use strict";

{
  const BUTTONS = [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
  const styles = [{ color: "--first", dash: "solid" }, { color: "--second", dash: "dash" }];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Megabytes, so that it is read where there is a loss to draw, and once the rest of the page stands.
  const library = () =>
    new Promise((resolve) => document.head.append(report.element("script", { src: `${document.body.dataset.root}assets/plotly.min.js`, load: resolve })));

  const line = (run, place, curve, first, several) => ({
    x: curve.points.map(([evaluation]) => evaluation),
    y: curve.points.map(([, loss]) => loss),
    name: several ? run.name : `target ${curve.problem}`,
    mode: curve.points.length > 1 ? "lines" : "markers",
    line: { width: 1.5, ...(several && { color: colour(styles[place].color), dash: styles[place].dash }) },
    hovertemplate: `${several ? `${run.name}, ` : ""}target ${curve.problem}: %{y:.4g} after %{x}<extra></extra>`,
    ...(several && { legendgroup: run.name, showlegend: first }),
  });

  const layout = (positive) => {
    const axis = (title) => ({ title: { text: title }, gridcolor: colour("--line"), zerolinecolor: colour("--line") });
    const kind = (label, type) => ({ label, method: "relayout", args: ["yaxis.type", type] });
    return {
      height: 420, margin: { l: 60, r: 12, t: 64, b: 48 },
      paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: colour("--soft") },
      modebar: { bgcolor: "transparent", color: colour("--soft"), activecolor: colour("--link") },
      xaxis: axis("evaluations"),
      yaxis: { ...axis("loss"), type: positive ? "log" : "linear", exponentformat: "e", nticks: 7 },
      showlegend: true, legend: { orientation: "h", y: -0.18 },
      updatemenus: positive
        ? [{ type: "buttons", direction: "left", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", pad: { t: 0, b: 0 },
            bgcolor: colour("--panel"), bordercolor: colour("--line"), buttons: [kind("logarithmic", "log"), kind("linear", "linear")] }]
        : [],
    };
  };

  // `series`: [{name, curves: [{problem, points: [[evaluation, loss]]}]}]. Null where there are no points.
  report.chart = (series) => {
    const kept = series.map((run) => ({ ...run, curves: run.curves.filter((curve) => curve.points.length) }));
    const losses = kept.flatMap((run) => run.curves.flatMap((curve) => curve.points.map(([, loss]) => loss)));
    if (!losses.length) return null;
    const lines = kept.flatMap((run, place) => run.curves.map((curve, at) => line(run, place, curve, at === 0, series.length > 1)));
    const [low, high] = losses.reduce(([low, high], loss) => [Math.min(low, loss), Math.max(high, loss)], [Infinity, -Infinity]);
    const said = `Loss over evaluations of ${report.count(lines.length, "target")}, between ${report.number(low)} and ${report.number(high)}`;
    const chart = report.element("div", { class: "chart", role: "figure", "aria-label": said });
    library().then(() => Plotly.newPlot(chart, lines, layout(low > 0), { responsive: true, displaylogo: false, modeBarButtons: BUTTONS }));
    return chart;
  };
}
