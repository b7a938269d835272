// The dock: the arithmetic of the chosen cell, beside the maps on a wide screen and as a sheet from below on a narrow one.

const narrow = () => window.innerWidth < 1000;

/** The cell that is chosen, as it is shown: its name, its arithmetic, its number on the tape, and the map it lies on. */
function chosenCell() {
  if (!state.cell) return null;
  const { kind, id, k, i, name } = state.cell;
  if (kind === "d") {
    const made = DERIVED[name]?.(id, i);
    if (!made) return null;
    const { r, c } = made.at ? { r: made.at[0], c: made.at[1] } : cellOf(made.of ?? id, i);
    return { label: made.label || `${made.name}[${r},${c}]`, words: wordsOf(made.of ?? id, r, c), layer: null, found: made.found, keys: [made.key], r, c, tape: made.tape === undefined ? made.shown : made.tape, here: true };
  }
  const of = kind === "b" ? N[id].inputs[k] : id, { layer, r, c } = cellOf(of, i), own = symbols(id);
  const symbol = kind === "v" ? own.output : kind === "g" ? "d" + own.output : "d" + own.inputs[k];
  const found = kind === "v" ? (N[id].inputs.length ? forwardCell(id, i) : { lines: [line([t(N[id].op === "param" ? "note_parameter" : "note_data")], value(id)?.[i])], moved: true }) : kind === "b" ? backwardCell(id, k, i) : gradientCell(id, i);
  const tape = kind === "v" ? value(id)?.[i] : kind === "b" ? term(of, id)?.[i] : grad(id)?.[i];
  return {
    label: ofNode("", symbol, of, i, 0).name, words: wordsOf(of, r, c), layer: matrix(of).layers > 1 ? layer : null, found, r, c, tape,
    keys: kind === "v" ? ["v" + id] : kind === "g" ? ["g" + id, "partial" + id] : [`t${of}.${id}`, "g" + of], formula: kind === "v" ? rule(id).forward : kind === "b" ? rule(id).backward[k] : null,
    faulty: kind !== "g" && replayed() !== null && R.bugs[state.bug].op === N[id].op, computedHere: !replayed() && !(kind === "v" ? tapeHas(id, false) : kind === "g" ? tapeHas(id, true) : tapeHasTerm(of, id)),
  };
}
const wordsOf = (id, r, c) => [names(id, 0)?.[r], names(id, 1)?.[c] ?? (words && matrix(id).cols === words.vocabulary.length ? show(words.vocabulary[c]) : undefined)].filter((x) => x !== undefined).join(" → ");

/** All entries of maps that an arithmetic names. */
const entriesOf = (found) => found.lines.flatMap(({ expression, name }) => [...expression, name]).filter((part) => part?.key);

/** The node that has computed what others only hand on, and the entry there. */
function origin({ kind, id, k, i }) {
  if (kind === "v") {
    while (["reshape", "permute"].includes(N[id].op)) { if (N[id].op === "permute") i = sourceOf(i, N[N[id].inputs[0]].shape, N[id].set.order); id = N[id].inputs[0]; }
    return { kind, id, i };
  }
  if (kind === "b") return { kind, id, k, i };
  while (N[id].terms.length === 1) {
    const from = N[id].terms[0].from;
    if (!["reshape", "permute"].includes(N[from].op)) return { kind: "b", id: from, k: N[from].inputs.indexOf(id), i };
    if (N[from].op === "permute") i = sourceOf(i, N[from].shape, inverse(N[from].set.order));
    id = from;
  }
  return { kind: "g", id, i };
}

/** One line of arithmetic as a row of the table. */
function lineRow({ expression, value, name }) {
  const operand = (part) => (part.key ? el("span.operand", { "data-name": part.name, "data-number": String(part.x) }, part.name) : part.name);
  const spaced = (parts) => parts.flatMap((part, k) => (k ? [" ", part] : [part]));
  const label = spaced(expression.map((part) => (typeof part === "string" ? part : operand(part))));
  const numbers = expression.some((part) => typeof part !== "string") ? spaced(expression.map((part) => (typeof part === "string" ? part : num(part.x, 7)))) : [];
  const title = name ? [typeof name === "string" ? name : operand(name), " = "] : [];
  return el("tr", {}, el("td.name", {}, title, label), el("td.numbers", {}, numbers), el("td.number", {}, num(value, 7)));
}

/** Draws the dock and outlines what the chosen cell is made of. */
function drawDock() {
  const dock = document.getElementById("dock"), place = document.getElementById("cell"), cell = chosenCell();
  dock.classList.toggle("empty", !cell);
  document.body.classList.toggle("docked", Boolean(cell));
  clearOutlines();
  if (!cell) {
    say(document.getElementById("dock-title"), t("dock_title"));
    place.replaceChildren(el("p.about", {}, t("cell_hint")), legend());
    return;
  }
  const { layer, found, tape } = cell, key = cell.keys.find((key) => heats.has(key)), map = heats.get(key);
  // On a map that has a name of its own, as one part of several, the cell is called after it.
  const label = map && state.cell.kind === "b" ? cell.label.replace(/^[^[]*/, map.symbol) : cell.label;
  say(document.getElementById("dock-title"), label);
  const parts = [el("p.where", { id: "cell-where" }, [cell.words, layer === null ? "" : `${t("head")} ${layer + 1}`].filter(Boolean).join(" · "))];
  let boxes = [];
  const unseen = found && entriesOf(found).some((part) => !heats.has(part.key));
  if (!found) parts.push(el("p.about", {}, t("no_arithmetic")), table([], tape, tape));
  else if (unseen || (found.moved && found.lines.length === 1 && entriesOf(found).length === 0)) {
    // Its operands lie on the card of another node.
    const from = origin(state.cell), leaf = from.kind === "v" && !N[from.id].inputs.length;
    parts.push(el("p.about", {}, unseen ? t("made_elsewhere") : found.lines[0].expression, " ", unseen ? el("button", { id: "to-origin", onclick: () => goTo(from.id, leaf ? { kind: "v", id: from.id, i: from.i } : from) }, t("show_there", { node: nick(from.id) })) : ""), table([], null, tape), found.note ? el("p.about", {}, found.note) : "");
  } else {
    if (cell.formula) parts.push(el("p.formula", { html: cell.formula }));
    const result = found.result ?? sum(found.lines.map((x) => x.value));
    parts.push(table(found.lines, result, tape));
    const of = state.cell.kind === "d" ? null : state.cell.id, part = cell.here ? 1e-6 : rounding([of, false], [of, true], ...N[of].inputs.flatMap((input) => [[input, false], [input, true]]));
    const off = Math.abs(result - tape), scale = Math.max(Math.abs(tape), ...found.lines.map((x) => Math.abs(x.value)), 1e-12), ok = off <= part * scale;
    if (found.moved || cell.here) parts.push(el("p.about", {}, t(cell.here ? "made_here" : "only_moved")));
    else if (cell.computedHere) parts.push(el("p.about", {}, t("not_on_page")));
    else if (tape !== undefined && tape !== null) parts.push(el("p", { id: "cell-verdict", "data-ok": String(ok) }, tick(ok), " ", t(ok ? "difference" : cell.faulty ? "bug_difference" : "difference", { x: num(off, 2) })));
    if (found.note) parts.push(el("p.about", {}, found.note));
    boxes = [...grouped(entriesOf(found)), ...(found.outlines || [])];
  }
  place.replaceChildren(...parts.flat().filter(Boolean));
  // The cell itself, on every map of its name.
  const own = [...heats.values()].filter((h) => cell.keys.includes(h.key) || (map && h.symbol === map.symbol && h.rows === map.rows && h.cols === map.cols));
  const byKey = new Map(own.map(({ key }) => [key, [box(key, cell.r, cell.r + 1, cell.c, cell.c + 1)]]));
  for (const o of boxes) byKey.set(o.key, [...(byKey.get(o.key) || []), o]);
  for (const [key, boxes] of byKey) heats.get(key)?.outline(boxes);

  function table(lines, result, tape) {
    const row = (text, x, name) => el("tr", {}, el("td", { colspan: 2 }, text), el("td.number", { [`data-${name}`]: String(x) }, num(x, 9)));
    return el("div.scroll.lines", {}, el("table.arithmetic", {}, el("tbody", {}, lines.map(lineRow)), el("tfoot", {}, lines.length ? row(t("recomputed"), result, "result") : null, tape === undefined || tape === null ? null : row(t(cell.here ? "map_says" : replayed() ? "bug_says" : cell.computedHere ? "page_says" : "tape_says"), tape, "tape"))));
  }
}

/** Boxes around entries: one for each map where they fill a rectangle, else one for each entry. */
function grouped(entries) {
  const byKey = new Map();
  for (const part of entries) byKey.set(part.key, [...(byKey.get(part.key) || []), part]);
  return [...byKey].flatMap(([key, parts]) => {
    const r0 = Math.min(...parts.map((p) => p.r)), r1 = Math.max(...parts.map((p) => p.r)) + 1, c0 = Math.min(...parts.map((p) => p.c)), c1 = Math.max(...parts.map((p) => p.c)) + 1;
    const cells = new Set(parts.map((p) => `${p.r},${p.c}`));
    return cells.size === (r1 - r0) * (c1 - c0) ? [box(key, r0, r1, c0, c1)] : parts.map((p) => box(key, p.r, p.r + 1, p.c, p.c + 1));
  });
}

/** What the colours of maps stand for. */
function legend() {
  return el("div", { id: "legend" }, el("h3", {}, t("legend")), el("p.legend-row", {}, "−", el("span.bar.long", { "aria-hidden": "true" }), "+", " ", t("legend_scale")), el("p.legend-row", {}, el("span.swatch.hatched"), t("legend_mask")), el("p.legend-row", {}, el("span.swatch.outlined"), t("legend_outline")));
}

/** The head that the operands of the chosen cell lie in, where that is another than the one shown: of what moves heads about. */
function otherHead() {
  const found = chosenCell()?.found, heads = new Set(found ? entriesOf(found).map((part) => part.layer).filter((layer) => layer !== undefined) : []);
  return heads.size === 1 && !heads.has(state.head) ? [...heads][0] : null;
}

/** Chooses a cell and shows its arithmetic. */
function pickCell(cell) {
  state.cell = cell;
  const head = otherHead();
  if (head === null) drawDock(); else { state.head = head; render(); }
  if (cell) { reveal(); announce(`${document.getElementById("dock-title").textContent}: ${document.querySelector("#cell [data-tape]") ? num(Number(document.querySelector("#cell [data-tape]").dataset.tape), 5) : ""}`); }
  remember("cell");
}

/** What of the window is not covered: below the strip where it stays, above the tour and the sheet. */
function openArea() {
  const strip = document.getElementById("top"), tour = document.getElementById("tour"), dock = document.getElementById("dock");
  const top = getComputedStyle(strip).position === "sticky" ? Math.max(0, strip.getBoundingClientRect().bottom) : document.getElementById("banner").offsetHeight;
  let bottom = window.innerHeight;
  if (!tour.hidden) bottom = Math.min(bottom, tour.getBoundingClientRect().top);
  if (narrow() && document.body.classList.contains("docked")) bottom = Math.min(bottom, dock.getBoundingClientRect().top);
  return { top: Math.min(top, bottom - 60), bottom };
}

/** Scrolls so that an outlined map is on the screen: that of the chosen cell where there is one. */
function reveal() {
  const cell = chosenCell(), key = cell?.keys.find((key) => heats.has(key)), h = key && heats.get(key);
  const map = h || [...heats.values()].find((h) => h.outlines.length);
  if (!map || !map.canvas.isConnected) return;
  const { top, bottom } = openArea(), frame = map.canvas.closest("figure").getBoundingClientRect();
  const point = h ? h.placeOf(cell.r, cell.c) : { x: frame.left, y: frame.top + 40 };
  const inner = map.canvas.parentElement.getBoundingClientRect(), y = between(inner.top, point.y, inner.bottom);
  if (y < top + 24 || y > bottom - 24) window.scrollBy(0, frame.height < bottom - top ? frame.top - top - 8 : y - (top + bottom) / 2);
}
