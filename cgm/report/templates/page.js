/* The page's own script. What is there to read is in index.html; this makes it answer: tables that sort and hide columns (DataTables),
   panels that tell their values (Vega-Lite), a filter, and a browser of test images. The address after # holds a place (#main-openmoji,
   #claim-…, #sample-openmoji-1F302) and what was chosen: #main-openmoji&datasets=openmoji&methods=mae,mse. */
(function () {
  "use strict";

  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);

  /** An element with attributes, listeners (names that begin with "on") and children: elements or words. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat());
    return element;
  }

  /* ---- What is chosen, and the address that holds it ---- */

  const SAMPLE = /^sample-/;
  const chosen = { datasets: null, methods: null };
  let place = "";
  let listed = {};

  function readAddress() {
    const parts = decodeURIComponent(location.hash.slice(1)).split("&");
    place = parts[0].includes("=") ? "" : parts.shift();
    listed = Object.fromEntries(parts.filter((part) => part.includes("=")).map((part) => part.split(/=(.*)/s).slice(0, 2)));
    for (const name of ["datasets", "methods"]) chosen[name] = listed[name] === undefined ? null : choice(name, listed[name]);
  }

  const names = (kind) => all(`#filter [name=${kind}]`).map((box) => box.value);

  /** ``mae,mse``, or ``-gan,cgan``: all but these. */
  function choice(kind, text) {
    const named = new Set(text.replace(/^-/, "").split(","));
    return text.startsWith("-") ? new Set(names(kind).filter((name) => !named.has(name))) : named;
  }

  function choiceText(kind) {
    if (!chosen[kind]) return "";
    const on = names(kind).filter((name) => chosen[kind].has(name)), off = names(kind).filter((name) => !chosen[kind].has(name));
    return off.length < on.length ? `-${off.join(",")}` : on.join(",") || "none";
  }

  function writeAddress(changes = {}) {
    listed = { ...listed, ...changes };
    const parts = Object.entries(listed).filter(([, value]) => value).map(([name, value]) => `${name}=${value}`);
    const hash = [place, ...parts].filter(Boolean).map(encodeURI).join("&");
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }

  const shows = (kind, name) => !chosen[kind] || chosen[kind].has(name);

  function goTo(id) {
    const target = id && document.getElementById(id);
    if (!target) return;
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    target.scrollIntoView();
    for (const marked of all(".arrived")) marked.classList.remove("arrived");
    target.classList.add("arrived");
  }

  /* ---- Tables ---- */

  const tables = [];
  const KINDS = ["method", "baseline", "floor"];

  /** Baselines and floors stay below the methods, and what has no value below what has one, whichever way a column is sorted. */
  function graded(a, b, sign) {
    const [kind, value] = a.split(/ (.*)/s), [otherKind, other] = b.split(/ (.*)/s);
    if (kind !== otherKind) return kind - otherKind;
    if (!value || !other) return (value ? 0 : 1) - (other ? 0 : 1);
    return sign * (isNaN(value) || isNaN(other) ? value.localeCompare(other) : value - other);
  }

  function startTables() {
    DataTable.ext.type.order["graded-asc"] = (a, b) => graded(a, b, 1);
    DataTable.ext.type.order["graded-desc"] = (a, b) => graded(a, b, -1);
    for (const element of all("table.numbers")) {
      for (const row of element.tBodies[0].rows) {
        const kind = Math.max(0, KINDS.indexOf(row.className.split(" ")[0]));
        for (const cell of row.cells) {
          const text = cell.textContent.trim();
          cell.dataset.order = `${kind} ${cell.dataset.value ?? (text === "–" ? "" : text)}`;
        }
      }
      for (const cell of all("tr.groups > *", element)) cell.dataset.dtOrder = "disable";
      const box = element.closest(".box");
      const table = new DataTable(element, {
        paging: false, info: false, order: [], autoWidth: false,
        columnDefs: [{ targets: "_all", type: "graded" }],
        layout: {
          topStart: { buttons: [{ extend: "colvis", text: "Columns", columns: (index) => index > 0, columnText: (_, __, title) => title.trim() }] },
          topEnd: null, bottomStart: null, bottomEnd: null,
        },
      });
      table.search.fixed("methods", (_, __, index) => shows("methods", table.row(index).node().dataset.method) || !table.row(index).node().dataset.method);
      const buttons = one(".dt-buttons", box);
      if (buttons) box.before(buttons);
      for (const button of all("button", buttons)) button.setAttribute("aria-label", `Columns of ${element.closest(".box").getAttribute("aria-label")}`);
      tables.push(table);
    }
  }

  /* ---- Charts ---- */

  const views = new Map();
  const FONT = getComputedStyle(document.body).fontFamily;
  const CONFIG = {
    background: null, font: FONT, aria: false, padding: 2, autosize: { type: "fit-x", contains: "padding" },
    view: { stroke: null },
    axis: {
      labelColor: "var(--ink)", titleColor: "var(--ink)", titleFontWeight: 400, titleFontSize: 12, labelFontSize: 11.5, gridColor: "var(--rule)",
      domainColor: "var(--muted)", tickColor: "var(--muted)", tickCount: 5, labelOverlap: "greedy",
    },
  };
  /** The labels that a panel shows: those of chosen methods, and those that belong to none. */
  function shownLabels(panel) {
    if (!chosen.methods) return null;
    const hidden = new Set(all(".keys [data-method]", panel.closest(".live")).filter((key) => !shows("methods", key.dataset.method)).map((key) => key.textContent.trim()));
    const labels = all(".keys li", panel.closest(".live")).map((key) => key.textContent.trim());
    return labels.filter((label) => !hidden.has(label));
  }

  async function draw(panel) {
    const spec = JSON.parse(one("script", panel).textContent);
    spec.width = "container";
    spec.params[0].value = shownLabels(panel);
    const made = await vegaEmbed(one(".chart", panel), spec, {
      actions: false, renderer: "svg", mode: "vega-lite", config: CONFIG, tooltip: { theme: "custom" },
    });
    one("svg", panel).setAttribute("aria-hidden", "true"); // the panel around it has the words
    views.set(panel, made.view);
  }

  function startCharts() {
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries.filter((each) => each.isIntersecting)) {
        seen.unobserve(entry.target);
        draw(entry.target).catch((error) => console.error(error));
      }
    }, { rootMargin: "800px" });
    for (const live of all(".live")) {
      live.hidden = false;
      live.parentElement.classList.add("answers");
      for (const panel of all(".panel", live)) seen.observe(panel);
      one(".values", live).addEventListener("toggle", (event) => listValues(event.target, live), { once: true });
    }
  }

  function listValues(details, live) {
    const names = { s: "series", kind: "kind", what: "what", x: "across", middle: "middle", y: "up", low: "low", high: "high", n: "n" };
    const rows = all(".panel", live).flatMap((panel) => {
      const [header, ...lines] = JSON.parse(one("script", panel).textContent).data.values.split("\n").map((line) => line.split("\t"));
      const title = one(".title", panel)?.textContent ?? "";
      return lines.map((line) => ({ panel: title, ...Object.fromEntries(header.map((name, at) => [name, line[at]])) }));
    });
    const columns = Object.keys(rows[0]).filter((name) => rows.some((row) => row[name] !== ""));
    const table = make("table", { class: "values" });
    details.append(make("div", { class: "box", tabindex: 0, role: "region", "aria-label": `Values of ${live.dataset.title}` }, table));
    new DataTable(table, {
      data: rows, columns: columns.map((name) => ({ data: name, title: names[name] ?? name, defaultContent: "" })),
      order: [], autoWidth: false, pageLength: 20, lengthChange: false, layout: { topStart: null, topEnd: "search", bottomStart: "info", bottomEnd: "paging" },
    });
  }

  /* ---- The filter of the whole page ---- */

  function startFilter() {
    const filter = one("#filter");
    filter.hidden = false;
    filter.addEventListener("change", () => {
      for (const name of ["datasets", "methods"]) {
        const boxes = all(`[name=${name}]`, filter), on = boxes.filter((box) => box.checked);
        chosen[name] = on.length === boxes.length ? null : new Set(on.map((box) => box.value));
      }
      remember();
    });
    one("#filter-all").addEventListener("click", () => {
      chosen.datasets = chosen.methods = null;
      remember();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && filter.open) {
        filter.open = false;
        one("summary", filter).focus();
      }
    });
    document.addEventListener("click", (event) => {
      if (filter.open && !filter.contains(event.target)) filter.open = false;
    });
    addEventListener("resize", moveBar);
    moveBar();
  }

  /** What a link leads to must not lie under the bar. */
  function moveBar() {
    document.documentElement.style.setProperty("--bar", `${one("#bar").offsetHeight}px`);
  }

  function remember() {
    writeAddress({ datasets: choiceText("datasets"), methods: choiceText("methods") });
    applyFilter();
  }

  function applyFilter() {
    for (const name of ["datasets", "methods"]) {
      for (const box of all(`#filter [name=${name}]`)) box.checked = shows(name, box.value);
    }
    const words = ["datasets", "methods"].filter((name) => chosen[name])
      .map((name) => `${all(`#filter [name=${name}]:checked`).length} of ${all(`#filter [name=${name}]`).length} ${name}`);
    one("#filter-state").textContent = words.length ? `: ${words.join(", ")}` : "";
    for (const element of all("[data-dataset]")) element.hidden = !shows("datasets", element.dataset.dataset);
    for (const element of all("[data-method]:not(tr)")) element.hidden = !shows("methods", element.dataset.method);
    for (const table of tables) table.draw();
    for (const [panel, view] of views) view.signal("shown", shownLabels(panel)).runAsync();
    dispatchEvent(new Event("resize"));
    if (browser.data) browser.drawTable();
  }

  /* ---- The browser of test images ---- */

  const ORDERS = { hash: "as they come (by hash)", best: "best first", median: "median first", worst: "worst first" };
  const ROWS = 8;
  const browser = { loaded: {}, data: null, page: 0, zoom: 1, order: "hash", metric: "", by: "", seed: "" };

  window.cgmSamples = (data) => { browser.loaded[data.dataset] = data; };

  function startBrowser() {
    const root = one("#browser");
    if (!root) return;
    browser.root = root;
    browser.scripts = Object.fromEntries(root.dataset.scripts.split(" ").map((each) => each.split("=")));
    root.hidden = false;
    browser.controls = make("form", { class: "controls", onsubmit: (event) => event.preventDefault() });
    browser.status = make("p", { class: "muted", role: "status" });
    browser.table = make("div", { class: "box", tabindex: 0, role: "region", "aria-label": "Test images" });
    browser.dialog = make("dialog", { class: "large", "aria-label": "One test image", onclick: (event) => { if (event.target === browser.dialog) browser.dialog.close(); } });
    root.append(browser.controls, browser.status, browser.table, browser.dialog);
    for (const link of all("[data-samples]")) link.addEventListener("click", () => browser.open(link.dataset.samples));
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      if (!browser.data) browser.open(Object.keys(browser.scripts).find((name) => shows("datasets", name)) ?? Object.keys(browser.scripts)[0]);
    }, { rootMargin: "600px" }).observe(root);
  }

  /** Scores and names of a dataset's images: a script, for a page that was opened from a disk may fetch nothing else. */
  function load(name) {
    return new Promise((done, fail) => {
      if (browser.loaded[name]) return done();
      document.head.append(make("script", { src: browser.scripts[name], onload: done, onerror: () => fail(new Error(`${browser.scripts[name]} is not there`)) }));
    });
  }

  browser.open = async (name, item = "") => {
    try {
      await load(name);
    } catch (error) {
      browser.status.textContent = `${error.message}: it lies in a folder beside this page, which has to come along.`;
      return;
    }
    const data = browser.data = browser.loaded[name];
    const methods = data.sheets.filter((sheet) => sheet[2] !== null);
    browser.methods = [...new Map(methods.map(([key, title]) => [key, title]))];
    browser.seeds = [...new Set(methods.map(([, , seed]) => String(seed)))].sort((a, b) => a - b);
    if (!browser.seeds.includes(browser.seed)) browser.seed = browser.seeds[0];
    if (!browser.methods.some(([key]) => key === browser.by)) browser.by = browser.methods[0][0];
    if (!data.metrics.some(([key]) => key === browser.metric)) browser.metric = data.metrics[0]?.[0] ?? "";
    browser.page = 0;
    browser.drawControls();
    browser.drawTable();
    if (item) {
      const index = data.items.findIndex(([id]) => id === item);
      if (index < 0) return;
      browser.page = Math.floor(browser.sorted().indexOf(index) / ROWS);
      browser.drawTable();
      browser.table.scrollIntoView();
      browser.enlarge(index);
    }
  };

  const sheetOf = (key, seed = browser.seed) => browser.data.sheets.find((sheet) => sheet[0] === key && (sheet[2] === null || String(sheet[2]) === seed));
  const score = (method, metric, index, seed = browser.seed) => browser.data.scores[method]?.[seed]?.[browser.data.metrics.findIndex(([key]) => key === metric)]?.[index] ?? null;
  const short = (value) => (value === null ? "–" : Number(value.toPrecision(3)).toString().replace("-", "−"));

  /** Places of the items in the chosen order; those without a score come last. */
  browser.sorted = () => {
    const places = browser.data.items.map((_, index) => index);
    if (browser.order === "hash" || !browser.metric) return places;
    const [, , , better, target] = browser.data.metrics.find(([key]) => key === browser.metric);
    const loss = (index) => {
      const value = score(browser.by, browser.metric, index);
      return value === null ? null : target !== null ? Math.abs(value - target) : -better * value;
    };
    const scored = places.filter((index) => loss(index) !== null).sort((a, b) => loss(a) - loss(b) || a - b);
    if (browser.order === "worst") scored.reverse();
    if (browser.order === "median") {
      const rank = new Map(scored.map((index, at) => [index, Math.abs(at - (scored.length - 1) / 2)]));
      scored.sort((a, b) => rank.get(a) - rank.get(b));
    }
    return [...scored, ...places.filter((index) => loss(index) === null)];
  };

  browser.drawControls = () => {
    const choose = (label, name, options, act = () => {}) => make("label", {}, `${label} `, make("select", {
      name, onchange: (event) => { browser[name] = event.target.value; browser.page = 0; act(event.target.value); browser.drawTable(); },
    }, options.map(([value, text]) => make("option", { value, selected: browser[name] === value || browser.data.dataset === value }, text))));
    const zoom = make("label", {}, "Zoom ", make("input", {
      type: "range", name: "zoom", min: 1, max: 4, step: 0.5, value: browser.zoom,
      oninput: (event) => { browser.zoom = Number(event.target.value); browser.drawTable(); },
    }));
    browser.controls.replaceChildren(
      choose("Dataset", "dataset", Object.keys(browser.scripts).map((name) => [name, name]), (name) => browser.open(name)),
      choose("Order", "order", Object.entries(ORDERS)),
      choose("by", "metric", browser.data.metrics.map(([key, title, arrow]) => [key, `${title} ${arrow}`])),
      choose("of", "by", browser.methods),
      choose("Seed", "seed", browser.seeds.map((seed) => [seed, seed])),
      zoom,
    );
  };

  /** One picture out of its sheet, at a size in CSS pixels. */
  function tile(sheet, index, width, label) {
    const { columns, height: h, width: w, items } = browser.data;
    const scale = width / w, rows = Math.ceil(sheet[4] / columns);
    return make("span", {
      class: "tile", role: "img", "aria-label": label,
      style: `width:${width}px;height:${h * scale}px;background-image:url("${sheet[3]}");background-size:${columns * width}px ${rows * h * scale}px;` +
        `background-position:${-(index % columns) * width}px ${-Math.floor(index / columns) * h * scale}px`,
    });
  }

  browser.shownColumns = () => [
    ...browser.data.sheets.filter((sheet) => sheet[2] === null),
    ...browser.methods.filter(([key]) => shows("methods", key)).map(([key, title]) => sheetOf(key) ?? [key, title, browser.seed, null, 0]),
  ];

  browser.drawTable = () => {
    const { data, zoom, metric } = browser;
    const places = browser.sorted(), last = Math.max(0, Math.ceil(places.length / ROWS) - 1);
    browser.page = Math.min(Math.max(browser.page, 0), last);
    const from = browser.page * ROWS, shown = places.slice(from, from + ROWS);
    const columns = browser.shownColumns(), width = Math.round(Math.max(64, Math.min(128, data.width)) * zoom);
    const head = make("tr", {}, make("th", { scope: "col" }, "Item"), columns.map(([, title]) => make("th", { scope: "col" }, title)));
    const rows = shown.map((index) => {
      const [id, label] = data.items[index];
      const cells = columns.map((sheet) => {
        const [key, title, seed] = sheet;
        if (index >= sheet[4]) return make("td", { class: "muted" }, seed === null ? "–" : `seed ${browser.seed}: not shown`);
        const value = seed === null ? null : score(key, metric, index);
        return make("td", {},
          make("button", { type: "button", "aria-label": `${title}, ${label}: enlarge`, onclick: () => browser.enlarge(index) }, tile(sheet, index, width, `${title}, ${label}`)),
          seed === null ? "" : make("small", {}, short(value)));
      });
      return make("tr", { id: `sample-${data.dataset}-${id}` }, make("th", { scope: "row" }, make("a", { href: `#sample-${data.dataset}-${id}` }, label)), cells);
    });
    browser.table.replaceChildren(make("table", { class: "browser" }, make("thead", {}, head), make("tbody", {}, rows)));
    const by = data.metrics.find(([key]) => key === metric);
    const turn = (text, step, label) => make("button", { type: "button", disabled: browser.page + step < 0 || browser.page + step > last, "aria-label": label, onclick: () => { browser.page += step; browser.drawTable(); } }, text);
    browser.status.replaceChildren(
      turn("←", -1, "Previous images"), ` ${from + 1}–${from + shown.length} of ${places.length} `, turn("→", 1, "Next images"),
      by ? ` Below each output: ${by[1]} ${by[2]}.` : "",
    );
  };

  browser.enlarge = (index) => {
    const { data, dialog } = browser;
    const [id, label] = data.items[index];
    const columns = browser.shownColumns().filter((sheet) => index < sheet[4]);
    const places = browser.sorted(), at = places.indexOf(index);
    const step = (text, by, name) => make("button", { type: "button", disabled: !(at + by in places), "aria-label": name, onclick: () => browser.enlarge(places[at + by]) }, text);
    const methods = columns.filter((sheet) => sheet[2] !== null);
    dialog.replaceChildren(
      make("p", { class: "head" }, make("b", {}, label), ` ${data.dataset}, seed ${browser.seed} `, step("←", -1, "Previous image"), step("→", 1, "Next image"),
        make("a", { href: `#sample-${data.dataset}-${id}` }, "link"), make("button", { type: "button", onclick: () => dialog.close() }, "Close")),
      make("div", { class: "pictures" }, columns.map((sheet) => make("figure", {}, tile(sheet, index, 192 * browser.zoom, `${sheet[1]}, ${label}`), make("figcaption", {}, sheet[1])))),
      make("div", { class: "box", tabindex: 0, role: "region", "aria-label": "Scores" }, make("table", {},
        make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "text" }, "Score"), methods.map(([, title]) => make("th", { scope: "col", class: "number" }, title)))),
        make("tbody", {}, data.metrics.map(([key, title, arrow]) => make("tr", {}, make("th", { scope: "row" }, `${title} ${arrow}`), methods.map(([method]) => make("td", { class: "number" }, short(score(method, key, index))))))))),
    );
    if (!dialog.open) dialog.showModal();
  };

  /* ---- Start ---- */

  function arrive() {
    readAddress();
    applyFilter();
    if (SAMPLE.test(place) && browser.scripts) {
      const name = Object.keys(browser.scripts).filter((each) => place.startsWith(`sample-${each}-`)).sort((a, b) => b.length - a.length)[0];
      if (name) browser.open(name, place.slice(`sample-${name}-`.length));
    } else goTo(place);
  }

  document.documentElement.classList.add("scripted");
  startTables();
  startCharts();
  startFilter();
  startBrowser();
  addEventListener("hashchange", arrive);
  arrive();
})();
