// The tape: every node in order of execution, played forward, and then backward in the order of the sweep.

const FORWARD = N.length, LAST = FORWARD + R.sweep.length - 1;
const KINDS = {
  param: "#b8b8b8", constant: "#d9d9d9", input: "#d9d9d9", embedding: "#8c6bb1", linear: "#4393c3", matmul: "#2166ac", scale: "#92c5de",
  softmax: "#d6604d", masked_softmax: "#d6604d", dropout: "#c2a5cf", layer_norm: "#e08214", add: "#5aae61", relu: "#a6761d", gelu: "#a6761d", silu: "#a6761d", cross_entropy: "#000",
};
const backward = () => state.time >= FORWARD;
/** Whether the gradient of a node is complete at this time: all its readers have been passed. */
function reached(id) {
  if (!backward()) return false;
  return id === R.root || (N[id].terms.length > 0 && N[id].terms.every(({ from }) => sweepAt.get(from) <= state.time - FORWARD));
}

/** The drawing of the strip: made once, and told what has changed. */
let strip = null;

function makeStrip() {
  const w = between(narrow() ? 5 : 3.6, (document.documentElement.clientWidth - 40 - (narrow() ? 0 : 400)) / N.length, 9), width = Math.max(N.length * w, 300), h = 72, mid = 37;
  const bars = N.map((node, id) => {
    const X = id * w, ground = svg("rect", { x: X, y: 0, width: w, height: h, fill: "transparent" }), up = svg("rect", { x: X + 0.4, y: mid, width: w - 0.8, height: 0, fill: KINDS[node.op] || "#888" }), down = svg("rect", { x: X + 0.4, y: mid + 2, width: w - 0.8, height: 0, fill: "#222" });
    return { ground, up, down, group: svg("g", { class: "bar", "data-id": id }, svg("title", {}, `#${id} ${pathOf(id)} [${node.shape.join(", ")}]`), ground, up, down), seen: {} };
  });
  const frame = svg("rect", { y: 0, width: w + 2, height: h, fill: "none", stroke: "#000", "stroke-width": 1.6 }), arrows = svg("g");
  const pattern = svg("defs", {}, svg("pattern", { id: "poison", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, svg("rect", { width: 5, height: 5, fill: "#fff" }), svg("rect", { width: 2, height: 5, fill: "#f4a9a2" })));
  const drawing = svg("svg", { width, height: h + 8, viewBox: `0 0 ${width} ${h + 8}`, role: "img", "aria-label": t("strip_label", { n: N.length }) }, pattern, svg("line", { x1: 0, x2: width, y1: mid + 1, y2: mid + 1, stroke: "#999" }), bars.map((bar) => bar.group), frame, arrows);
  drawing.addEventListener("click", (e) => { const id = e.target.closest(".bar")?.dataset.id; if (id) goTo(Number(id)); });
  const scroll = el("div.strip-scroll", {}, drawing);
  const button = (name, text, key, act) => el("button", { "data-name": name, title: t(key), "aria-label": t(key), onclick: act }, text);
  const slider = el("input", { id: "slider", type: "range", min: 0, max: LAST, value: state.time, "aria-label": t("slider"), oninput: (e) => setTime(Number(e.target.value)) });
  const play = (way) => el("button", { "data-name": way > 0 ? "play" : "play-back", onclick: () => togglePlay(way) }, way > 0 ? "▶" : "◀", " ", t(way > 0 ? "play" : "play_back"));
  const plays = [play(-1), play(1)];
  const controls = el("div.controls", {}, button("first", "⇤", "to_start", () => setTime(0)), button("back", "‹", "step_back", () => setTime(state.time - 1)), slider, button("next", "›", "step_next", () => setTime(state.time + 1)), button("last", "⇥", "to_end", () => setTime(LAST)),
    plays, el("button", { "data-name": "to-backward", onclick: () => setTime(FORWARD) }, t("to_backward")));
  const phase = el("b"), path = el("span.mono"), facts = el("span"), source = el("span.mono");
  const now = el("p.now", { id: "now" }, phase, " ", path, facts, source);
  const kinds = [...new Map(N.filter((n) => KINDS[n.op]).map((n) => [KINDS[n.op], n.op.replace("masked_", "")]))].map(([colour, op]) => el("span.key", {}, el("span.swatch", { style: `background:${colour}` }), op));
  const legend = el("p.legend-row", { id: "op-legend" }, kinds, el("span.key", {}, el("span.swatch", { style: "background:#222" }), t("legend_down")), state.bug === null ? null : el("span.key", {}, el("span.swatch.poison"), t("legend_poison")));
  document.getElementById("strip").replaceChildren(el("h2.visually-hidden", { id: "strip-title" }, t("strip_title")), controls, scroll, legend, now);
  strip = { key: stripKey(), w, mid, h, bars, frame, arrows, scroll, slider, plays, phase, path, facts, source, now, now_: null };
}
const stripKey = () => `${state.language}/${document.documentElement.clientWidth}/${state.bug}`;

/** Brings the strip up to the state: what is the same is not touched. */
function drawStrip() {
  if (!strip || strip.key !== stripKey()) makeStrip();
  const { w, mid, h, bars, frame, arrows, scroll, slider, plays, phase, path, facts, source, now } = strip;
  const norms = N.map((_, id) => valueNorm(id)), gnorms = N.map((_, id) => gradNorm(id)), most = largest(norms.map((x) => x || 0)), gmost = largest(gnorms.map((x) => x || 0));
  const tall = (x, most) => (x > 1e-12 * most ? Math.max(2, 32 * (1 + Math.log10(x / most) / 5)) : 0);
  const bug = state.bug === null ? null : R.bugs[state.bug], wrong = replayed();
  const set = (bar, what, node, name, to) => { if (bar.seen[what] !== to) { bar.seen[what] = to; node.setAttribute(name, to); } };
  bars.forEach((bar, id) => {
    const up = tall(norms[id] || 0, most), down = reached(id) ? tall(gnorms[id] || 0, gmost) : 0, poisoned = wrong?.grads.has(id) || wrong?.values.has(id);
    set(bar, "y", bar.up, "y", mid - up); set(bar, "up", bar.up, "height", up); set(bar, "opacity", bar.up, "opacity", backward() || id <= state.time ? 1 : 0.2);
    set(bar, "down", bar.down, "height", down); set(bar, "dark", bar.down, "fill", poisoned ? "#b2182b" : "#222");
    set(bar, "ground", bar.ground, "fill", bug?.culprit === id ? "#f4c7c3" : poisoned ? "url(#poison)" : "transparent");
  });
  frame.setAttribute("x", state.node * w - 1);
  arrows.replaceChildren(...(backward() ? N[state.node].inputs : []).map((id) => svg("path", { d: `M${(state.node + 0.5) * w} ${mid + 26} Q ${(state.node + id) / 2 * w} ${h + 6} ${(id + 0.5) * w} ${mid + 28}`, fill: "none", stroke: "#b35806", "stroke-width": 1.2 })));
  if (Number(slider.value) !== state.time) slider.value = state.time;
  plays.forEach((button, k) => button.setAttribute("aria-pressed", String(state.playing === [-1, 1][k])));
  const node = N[state.node];
  now.dataset.time = state.time; now.dataset.phase = backward() ? "backward" : "forward";
  say(phase, t(backward() ? "phase_backward" : "phase_forward", { k: backward() ? state.time - FORWARD + 1 : state.time + 1, n: backward() ? R.sweep.length : FORWARD }));
  say(path, `#${state.node} ${pathOf(state.node)}`);
  say(facts, ` [${node.shape.join(", ")}] · ‖${t("value")}‖ ${num(norms[state.node])}${node.gnorm === null ? "" : reached(state.node) ? ` · ‖${t("gradient")}‖ ${num(gnorms[state.node])}` : ` · ${t("gradient_waits")}`} · ${bytes(node.bytes)} · `);
  say(source, node.source);
  const x = state.node * w;
  if (strip.now_ !== state.node && (x < scroll.scrollLeft + 20 || x > scroll.scrollLeft + scroll.clientWidth - 30)) scroll.scrollLeft = x - scroll.clientWidth / 2;
  strip.now_ = state.node;
}

/** Goes to a moment: a node of the forward pass, or a step of the sweep. */
function setTime(time) {
  const to = between(0, time, LAST);
  if (to === LAST) state.playing = 0;
  change({ time: to, node: to >= FORWARD ? R.sweep[to - FORWARD] : to, cell: null, showTerm: null }, "time");
}

/** Goes to a node, and stays in the pass that is being looked at. */
function goTo(id, cell) {
  change({ node: id, time: backward() && sweepAt.has(id) ? FORWARD + sweepAt.get(id) : backward() ? state.time : id, tab: "tape", cell: cell || null, showTerm: null, head: cell ? headOfCell(cell) ?? state.head : state.head });
  if (!cell) return showView();
  const head = otherHead();
  if (head !== null) change({ head });
  reveal();
}
/** The head that a cell belongs to. */
function headOfCell({ kind, id, k, i }) { const of = kind === "b" ? N[id].inputs[k] : id, { layers } = matrix(of); return layers > 1 ? cellOf(of, i).layer : null; }

/** Scrolls to where the view begins, where that is not on the screen. */
function showView() {
  const { top, bottom } = openArea(), y = document.getElementById("view").getBoundingClientRect().top;
  if (y < top - 4 || y > bottom - 120) window.scrollBy(0, y - top);
}

let timer = null;
function togglePlay(way) {
  state.playing = state.playing === way ? 0 : way;
  clearInterval(timer);
  if (state.playing) {
    if (way > 0 && state.time === LAST) setTime(0);
    state.playing = way;
    timer = setInterval(() => {
      if (!state.playing) return clearInterval(timer);
      setTime(state.time + state.playing);
      if (state.time === 0 || state.time === LAST) { state.playing = 0; clearInterval(timer); drawStrip(); }
    }, 220);
  }
  drawStrip();
}

/** All nodes as a table: made when it is first opened, and once for each pass. */
let table_ = null;
function tapeTable() {
  const key = `${state.language}/${state.bug}`;
  if (table_?.key !== key) {
    const details = el("details", { open: table_?.details.open || null }, el("summary", {}, t("all_nodes", { n: N.length })));
    table_ = { key, details, rows: null };
    details.addEventListener("toggle", () => { if (details.open) fillTable(); });
    if (details.open) fillTable();
  }
  if (table_.rows) { table_.now?.classList.remove("here"); table_.now = table_.rows[state.node]; table_.now.classList.add("here"); }
  return table_.details;
}
function fillTable() {
  if (table_.rows) return;
  table_.rows = N.map((node, id) => el("tr", {},
    el("td", {}, nodeLink(id, `#${id}`)), el("td", {}, node.op), el("td.mono", {}, pathOf(id)), el("td.mono", {}, `[${node.shape.join(", ")}]`),
    el("td.number", {}, num(valueNorm(id), 3)), el("td.number", {}, num(gradNorm(id), 3)), el("td.number", {}, bytes(node.bytes)),
    el("td", {}, verdictMark(id)), el("td.mono", {}, node.source)));
  table_.now = table_.rows[state.node];
  table_.now.classList.add("here");
  table_.details.append(el("div.scroll.tall", {}, el("table.tape", {},
    el("thead", {}, el("tr", {}, ["id", "op", t("path"), t("shape"), `‖${t("value")}‖`, `‖${t("gradient")}‖`, t("bytes"), t("checked"), t("source_line")].map((x) => el("th", {}, x)))), el("tbody", {}, table_.rows))));
}
