// Two ticked runs can be compared.
"use strict";

{
  const boxes = [...document.querySelectorAll("table.runs input[type=checkbox]")];
  const button = document.getElementById("compare");
  const said = document.getElementById("picked");

  for (const box of boxes) {
    box.addEventListener("change", () => {
      const { a, b } = report.state.read();
      const rest = [a, b].filter((run) => run && run !== box.value);
      const [first = null, second = null] = box.checked ? [...rest, box.value].slice(-2) : rest;
      report.state.write({ a: first, b: second });
    });
  }
  report.state.follow(({ a, b }) => {
    for (const box of boxes) box.checked = box.value === a || box.value === b;
    button.hidden = !(a && b);
    if (a && b) button.href = report.link("compare.html", { a, b });
    const one = a ?? b;
    said.textContent = a && b ? `${a} and ${b}` : one ? `${one} and another: tick it.` : "Tick two runs to compare them.";
  });
}
