// The data of a run come as a script that calls `report.receive`: a page on the disk may read nothing else.
"use strict";

{
  const waiting = new Map();

  report.receive = (id, data) => waiting.get(id)?.(data);

  report.load = (id) =>
    new Promise((resolve, reject) => {
      if (!/^\w+$/.test(id)) throw new Error(`${id} is no run`);
      waiting.set(id, resolve);
      const failed = () => reject(new Error(`run ${id} is not in this report`));
      document.head.append(report.element("script", { src: `${document.body.dataset.root}runs/${id}.js`, error: failed }));
    });
}
