// What a reader does with the site, and what is then to be seen: results by name, for test_browser.py.
// The pages are in frames of this one, which Chromium allows for files with --allow-file-access-from-files.
"use strict";

const pause = () => new Promise((resolve) => setTimeout(resolve, 30));

const until = async (condition) => {
  for (let k = 0; k < 100 && !condition(); k += 1) await pause();
};

const open = async (page, width = 1200) => {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width: ${width}px; height: 800px; border: 0`;
  const loaded = new Promise((resolve) => frame.addEventListener("load", resolve));
  frame.src = page;
  document.body.append(frame);
  await loaded;
  await pause();
  return frame.contentDocument;
};

const all = (page, selector) => [...page.querySelectorAll(selector)];
const texts = (page, selector) => all(page, selector).map((element) => element.textContent.trim());
const shown = (page) => all(page, "table.runs tbody tr:not([hidden]) th").map((cell) => cell.textContent.trim());

const type = async (page, selector, value) => {
  const control = page.querySelector(selector);
  control.value = value;
  control.dispatchEvent(new Event("input"));
  await pause();
};

const click = async (page, selector) => {
  page.querySelector(selector).click();
  await pause();
};

const scenarios = {
  async sorting() {
    const page = await open("runs.html");
    const found = { before: shown(page) };
    for (const name of ["down", "up", "again"]) {
      await click(page, "th[data-key=psnr_unit] button");
      found[name] = shown(page);
      found[`${name} said`] = page.querySelector("th[data-key=psnr_unit]").getAttribute("aria-sort");
    }
    return found;
  },
  async filtering() {
    const page = await open("runs.html");
    await type(page, "[data-filter]", "lenet bx");
    const words = { rows: shown(page), count: page.querySelector("[data-count]").textContent };
    await type(page, "[data-filter]", "");
    await type(page, "select[data-facet=attack]", "c");
    return { words, facet: shown(page), address: page.location.hash };
  },
  async long() {
    const page = await open("runs.html");
    page.querySelector("table.runs").dataset.most = 3;
    await click(page, "th[data-key=psnr_unit] button");
    const first = { rows: shown(page), count: page.querySelector("[data-count]").textContent };
    await click(page, "[data-all]");
    return { first, all: shown(page).length, button: page.querySelector("[data-all]").hidden };
  },
  async address() {
    const page = await open("runs.html#sort=psnr_unit&order=up&filter=Y0");
    return { rows: shown(page), words: page.querySelector("[data-filter]").value };
  },
  async cell() {
    const page = await open("here/toy/digits32-small/index.html");
    await click(page, "table.cells tbody tr:nth-child(1) td a");
    const dialog = page.querySelector("dialog");
    const found = { open: dialog.open, title: texts(dialog, "h2")[0], runs: texts(dialog, ".behind code"), address: page.location.hash };
    found.numbers = texts(dialog, "tbody tr:first-child :is(th, td)");
    found.links = all(dialog, ".behind a.button").map((link) => link.getAttribute("href"));
    await click(page, "dialog .close");
    return { ...found, closed: !dialog.open };
  },
  async metric() {
    const page = await open("here/toy/digits32-small/index.html");
    await type(page, "select[data-show=metric]", "mse");
    return all(page, "[data-part]:not([hidden]) h2").map((heading) => heading.firstChild.textContent.trim());
  },
  async run() {
    const page = await open("run.html#run=BX0");
    await until(() => page.querySelector(".trace"));
    const labels = all(page, ".image").map((image) => image.getAttribute("aria-label"));
    return { title: texts(page, "h1")[0], labels, text: page.body.textContent };
  },
  async chart() {
    const page = await open("run.html#run=BX0");
    await until(() => page.querySelector(".trace"));
    const axis = page.querySelector(".chart").layout.yaxis;
    const found = { curves: all(page, ".trace").length, names: texts(page, ".legendtext"), before: axis.type };
    all(page, ".updatemenu-button").at(-1).dispatchEvent(new MouseEvent("click"));
    await until(() => page.querySelector(".chart").layout.yaxis.type === "linear");
    return { ...found, after: page.querySelector(".chart").layout.yaxis.type };
  },
  async missing() {
    const page = await open("run.html#run=nothing");
    await until(() => page.querySelector("[role=alert]"));
    return texts(page, "[role=alert]");
  },
  async comparing() {
    const list = await open("runs.html");
    for (const run of ["AX0", "BX0"]) await click(list, `input[value=${run}]`);
    const address = list.getElementById("compare").href;
    const page = await open(address);
    await until(() => page.querySelector(".trace"));
    const lines = all(page, "section:first-of-type tbody tr").map((line) => [...line.cells].map((cell) => cell.textContent));
    const metrics = all(page, "section:nth-of-type(2) tbody tr").map((line) => [...line.cells].map((cell) => cell.textContent));
    return { lines, metrics, images: all(page, ".image").length, curves: all(page, ".trace").length };
  },
  async hostile() {
    const found = {};
    for (const address of [...pages, "run.html#run=evil", "compare.html#a=evil&b=AX0", evil]) {
      const page = await open(address);
      if (/run=|a=/.test(address)) await until(() => page.querySelector(".trace"));
      await pause();
      const strange = all(page, "script:not([src]):not([type='application/json']), img[onerror], img[src=x]").length;
      found[address] = { strange, title: page.title, owned: page.title === "owned", text: page.body.textContent };
    }
    return found;
  },
  async narrow() {
    const found = {};
    for (const address of [...pages, "run.html#run=AX0", "run.html#run=evil", "compare.html#a=evil&b=AX0", evil]) {
      const page = await open(address, 360);
      if (/run=|a=/.test(address)) await until(() => page.querySelector(".trace"));
      found[address] = page.documentElement.scrollWidth;
    }
    return found;
  },
};

addEventListener("load", async () => {
  const results = {};
  for (const [name, scenario] of Object.entries(scenarios)) {
    try {
      results[name] = await scenario();
    } catch (error) {
      results[name] = `failed: ${error.stack}`;
    }
    for (const frame of all(document, "iframe")) frame.remove();
  }
  document.getElementById("results").textContent = JSON.stringify(results);
});
