"use strict";
// A reader's ratings of scans and judgements of findings. They stay in this browser until they are
// saved as ratings.tsv; nothing is sent anywhere. What a table holds is compared, never run.
(() => {
  const panel = document.getElementById("ratings");
  if (!panel) return;
  const part = (role) => panel.querySelector(`[data-part="${role}"]`);

  const WORDS = { 1: "unusable", 2: "poor", 3: "acceptable", 4: "good", real: "real", not_real: "not real" };
  const KEY = { real: "R", not_real: "N" };
  const textOf = (value) => `${KEY[value] ?? value} ${WORDS[value]}`;
  const COLUMNS = ["subject", "label", "lesion", "volume_ml", "rating", "judgement", "rated"];
  const NOTHING = "n/a";
  const MOST = 5e6; // bytes of a table
  // One place for the index and the pages of its subjects: the folder of the report.
  const PLACE = `anomri ratings ${new URL(panel.dataset.folder, location).pathname}`;

  const known = new Map(); // rows of the table, as text
  const keyOf = (row) => `${row.label} ${row.lesion}`;
  const valueOf = (row) => (row.lesion === NOTHING ? row.rating : row.judgement);

  const isSound = (row) => Boolean(row.label) && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(row.rated)
    && (row.lesion === NOTHING ? /^([1-4]|n\/a)$/.test(row.rating)
      : /^[1-9]\d*$/.test(row.lesion) && /^(real|not_real|n\/a)$/.test(row.judgement));

  // Of two rows on one scan or finding the later one holds.
  const learn = (rows) => {
    const sound = rows.map((row) => Object.fromEntries(COLUMNS.map((name) => [name, String(row[name] ?? NOTHING)])));
    const bad = sound.findIndex((row) => !isSound(row));
    if (bad >= 0) throw new Error(`expected ratings, found something else in row ${bad + 1}`);
    for (const row of sound) {
      const before = known.get(keyOf(row));
      if (!before || before.rated < row.rated) known.set(keyOf(row), row);
    }
    return sound.length;
  };

  const parse = (text) => {
    const [head, ...lines] = text.replace(/^\uFEFF/, "").split(/\r?\n/).filter(Boolean).map((line) => line.split("\t"));
    if (!COLUMNS.every((name) => head?.includes(name))) throw new Error(`expected the columns ${COLUMNS.join(", ")}`);
    const plain = (cell) => (cell ?? NOTHING).replace(/^'(?=[=+\-@])/, "");
    return lines.map((cells) => Object.fromEntries(COLUMNS.map((name) => [name, plain(cells[head.indexOf(name)])])));
  };

  const table = () => {
    const number = (row) => (row.lesion === NOTHING ? 0 : Number(row.lesion));
    const rows = [...known.values()]; // cleared ones, too: they replace what another table holds
    rows.sort((a, b) => (a.label < b.label ? -1 : a.label > b.label ? 1 : number(a) - number(b)));
    // What a spreadsheet would evaluate gets an apostrophe.
    const cell = (text) => text.replace(/\s+/g, " ").replace(/^(?=[=+\-@])/, "'") || NOTHING;
    return [COLUMNS, ...rows.map((row) => COLUMNS.map((name) => cell(row[name])))].map((cells) => `${cells.join("\t")}\n`).join("");
  };

  const say = (text) => { part("said").textContent = text; };

  const kept = () => {
    try { learn(JSON.parse(localStorage.getItem(PLACE) ?? "[]")); } catch { /* nothing usable there */ }
  };
  const keep = () => {
    try {
      localStorage.setItem(PLACE, JSON.stringify([...known.values()]));
      return "";
    } catch {
      return " This browser keeps nothing: save before you close the page.";
    }
  };

  // What can be rated on this page: buttons in a group, and the facts of their row.
  const choices = [];
  const offer = (holder, name, facts, values) => {
    holder.classList.add("rates");
    holder.setAttribute(holder.tagName === "TD" ? "data-group" : "role", "group");
    const buttons = values.map((value) => {
      const button = Object.assign(document.createElement("button"), { type: "button", value, textContent: textOf(value) });
      button.setAttribute("aria-label", `${name}: ${textOf(value)}`);
      button.addEventListener("click", () => choose(choice, value));
      return button;
    });
    holder.append(...buttons);
    const choice = { name, facts, buttons };
    choices.push(choice);
    return choice;
  };

  // A rating of another result, with another volume, is not shown as one of this.
  const current = (facts) => {
    const row = known.get(keyOf(facts));
    return row && Math.abs(row.volume_ml - facts.volume_ml) < 0.006 ? valueOf(row) : NOTHING;
  };

  const choose = (choice, value) => {
    const { facts } = choice;
    const next = current(facts) === value ? NOTHING : value;
    const given = facts.lesion === NOTHING ? { rating: next, judgement: NOTHING } : { rating: NOTHING, judgement: next };
    kept(); // another page of this report may have added some
    known.set(keyOf(facts), { ...facts, ...given, rated: `${new Date().toISOString().slice(0, 19)}Z` });
    const warning = keep();
    show();
    say(`${choice.name}: ${next === NOTHING ? "cleared" : WORDS[next]}.${warning}`);
  };

  const show = () => {
    for (const { facts, buttons } of choices) {
      buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.value === current(facts))));
    }
    for (const row of rows) {
      const value = current(row.facts);
      row.cell.dataset.value = value === NOTHING ? "" : value;
      row.cell.textContent = value === NOTHING ? "\u2013" : textOf(value);
    }
    const given = [...known.values()].map(valueOf);
    const count = (wanted) => given.filter(wanted).length;
    const judged = count((value) => /real/.test(value));
    const rated = count((value) => /^[1-4]$/.test(value));
    part("counts").textContent = `Scans rated: ${rated}. Findings judged: ${judged}, real: ${count((value) => value === "real")}.`;
  };

  const factsOf = (place, lesion) => (
    { subject: place.dataset.subject, label: place.dataset.label, lesion, volume_ml: place.dataset.volume });

  const addScan = (article) => {
    const facts = factsOf(article, NOTHING);
    const holder = document.createElement("div");
    holder.setAttribute("aria-label", `Rating of ${facts.subject}`);
    holder.append(Object.assign(document.createElement("span"), { textContent: "Rate this result:" }));
    article.querySelector("header").after(holder);
    article.tabIndex = -1;
    const scan = offer(holder, facts.subject, facts, ["1", "2", "3", "4"]);
    for (const head of article.querySelectorAll(".lesions thead tr")) {
      head.cells[0].after(Object.assign(document.createElement("th"), { scope: "col", textContent: "Finding" }));
    }
    const lesions = [...article.querySelectorAll("tr[data-lesion]")].map((row) => {
      const { lesion, volume } = row.dataset;
      const own = { ...facts, lesion, volume_ml: volume };
      return [row, offer(row.insertCell(1), `${facts.subject}, lesion ${lesion}`, own, ["real", "not_real"])];
    });
    return { article, scan, lesions: new Map(lesions) };
  };

  const addRow = (row) => {
    const cell = row.insertCell();
    cell.className = "rated";
    if (!row.dataset.label) return [];
    return [{ row, cell, facts: factsOf(row, NOTHING), name: row.dataset.subject }];
  };

  const scans = [...document.querySelectorAll("article.scan")].map(addScan);
  const cohort = document.getElementById("cohort");
  cohort?.tHead.rows[0].append(Object.assign(document.createElement("th"), { scope: "col", textContent: "Rating" }));
  const rows = cohort ? [...cohort.tBodies[0].rows].flatMap(addRow) : [];

  // The scan in focus, in the table or below, else the one in the middle of the window.
  const scanAtHand = () => {
    const active = document.activeElement;
    const row = rows.find((entry) => entry.row.contains(active));
    if (row) return row;
    const middle = innerHeight / 2;
    const isThere = ({ article }) => {
      const { top, bottom } = article.getBoundingClientRect();
      return top < middle && bottom > middle;
    };
    return (scans.find(({ article }) => article.contains(active)) ?? scans.find(isThere) ?? (cohort ? null : scans[0]))?.scan;
  };

  const rate = (value) => {
    const scan = scanAtHand();
    if (!scan) return say("Move to a scan first: with J, or with Tab in the table.");
    return choose(scan, value === "0" ? current(scan.facts) : value);
  };

  const judge = (value) => {
    const row = document.activeElement.closest("tr[data-lesion]");
    const lesion = scans.map(({ lesions }) => lesions.get(row)).find(Boolean);
    return lesion ? choose(lesion, value) : say("Move to a finding first: with Tab, in the table of lesions.");
  };

  const move = (step) => {
    const link = document.querySelector(step > 0 ? "a[rel=next]" : "a[rel=prev]");
    if (link) return link.click();
    const stops = scans.length ? scans.map(({ article }) => article) : rows.map(({ row }) => row.querySelector("a"));
    const at = stops.findIndex((stop) => stop.contains(document.activeElement));
    const stop = stops[Math.min(Math.max(at + step, 0), stops.length - 1)];
    stop?.focus({ preventScroll: true });
    return stop?.scrollIntoView({ block: scans.length ? "start" : "nearest" });
  };

  const KEYS = { r: () => judge("real"), n: () => judge("not_real"), j: () => move(1), k: () => move(-1) };
  for (const digit of "01234") KEYS[digit] = () => rate(digit);

  // Before the viewer, whose canvas takes all keys for itself.
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input[type=search], select, textarea");
    const action = Object.hasOwn(KEYS, event.key.toLowerCase()) && KEYS[event.key.toLowerCase()];
    if (!action || typing || event.ctrlKey || event.metaKey || event.altKey || !part("keys").checked) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }, true);

  const load = async (file) => {
    try {
      if (file.size > MOST) throw new Error(`expected at most ${MOST / 1e6} MB`);
      const count = learn(parse(await file.text()));
      const warning = keep();
      show();
      say(`${count} ratings read from ${file.name}.${warning}`);
    } catch (error) {
      say(`${file.name}: ${error.message}. Next: choose a ratings.tsv that was saved from this report.`);
    }
  };

  part("file").addEventListener("change", ({ target }) => [...target.files].forEach(load));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    [...event.dataTransfer.files].forEach(load);
  });

  part("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([table()], { type: "text/tab-separated-values" }));
    link.download = "ratings.tsv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    say("ratings.tsv was saved. `anomri report FOLDER --ratings ratings.tsv` shows it to others.");
  });

  kept();
  learn(JSON.parse(document.getElementById("given-ratings").textContent));
  addEventListener("storage", () => { kept(); show(); });
  panel.hidden = false;
  show();
})();
