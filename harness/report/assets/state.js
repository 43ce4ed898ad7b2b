// What a page shows stands in its address, after the #: a link to it can be kept and shared.
"use strict";

const report = {};

report.state = {
  read() {
    return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  },
  // Change some of it; what is empty is left out. Listeners hear of it as of a click on a link.
  write(changes) {
    const next = { ...report.state.read(), ...changes };
    const kept = Object.entries(next).filter(([, value]) => value !== "" && value !== null);
    location.replace("#" + new URLSearchParams(kept));
  },
  // Call a listener now and whenever the address changes.
  follow(listener) {
    addEventListener("hashchange", () => listener(report.state.read()));
    listener(report.state.read());
  },
};
