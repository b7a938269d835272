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
  const now = state.time - FORWARD;
  return id === R.root || (N[id].terms.length > 0 && N[id].terms.every(({ from }) => sweepAt.get(from) <= now));
}

function stripSection() {
  const w = Math.max(5, Math.min(9, (window.innerWidth - 60) / N.length)), width = Math.max(N.length * w, 300), h = 84, mid = 44;
  const normMost = Math.max(...N.map((n) => n.norm)), gradMost = Math.max(...N.map((n) => n.gnorm || 0));
  const tall = (x, most) => (x > 0 ? Math.max(2, 36 * (1 + Math.log10(x / most) / 5)) : 0);
  const bug = state.bug === null ? null : R.bugs[state.bug], poisoned = new Map(bug ? bug.poisoned : []);
  const bars = N.map((node, id) => {
    const X = id * w, up = tall(node.norm, normMost), down = tall(node.gnorm || 0, gradMost);
    const seen = backward() || id <= state.time;
    return svg("g", { class: "bar", "data-id": id },
      svg("title", {}, `#${id} ${pathOf(id)} [${node.shape.join(", ")}]`),
      svg("rect", { x: X, y: 0, width: w, height: h, fill: bug?.culprit === id ? "#f4c7c3" : poisoned.has(id) ? "url(#poison)" : "transparent" }),
      svg("rect", { x: X + 0.5, y: mid - up, width: w - 1, height: up, fill: KINDS[node.op] || "#888", opacity: seen ? 1 : 0.2 }),
      reached(id) ? svg("rect", { x: X + 0.5, y: mid + 2, width: w - 1, height: down, fill: poisoned.has(id) ? "#b2182b" : "#222" }) : null);
  });
  const now = state.node, terms = backward() ? N[state.node].inputs : [];
  const marks = [svg("rect", { x: now * w - 1, y: 0, width: w + 2, height: h, fill: "none", stroke: "#000", "stroke-width": 1.6 }),
    ...terms.map((id) => svg("path", { d: `M${(now + 0.5) * w} ${mid + 30} Q ${(now + id) / 2 * w} ${h + 6} ${(id + 0.5) * w} ${mid + 32}`, fill: "none", stroke: "#b35806", "stroke-width": 1.2 }))];
  const pattern = svg("defs", {}, svg("pattern", { id: "poison", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, svg("rect", { width: 5, height: 5, fill: "#fff" }), svg("rect", { width: 2, height: 5, fill: "#f4a9a2" })));
  const drawing = svg("svg", { width, height: h + 8, viewBox: `0 0 ${width} ${h + 8}`, role: "img", "aria-label": t("strip_label", { n: N.length }) }, pattern, svg("line", { x1: 0, x2: width, y1: mid + 1, y2: mid + 1, stroke: "#999" }), bars, marks);
  drawing.addEventListener("click", (e) => { const id = e.target.closest(".bar")?.dataset.id; if (id) goTo(Number(id)); });
  const scroll = el("div.strip-scroll", {}, drawing);
  const play = (way) => el("button", { "data-name": way > 0 ? "play" : "play-back", "aria-pressed": String(state.playing === way), onclick: () => togglePlay(way) }, way > 0 ? "▶" : "◀", " ", t(way > 0 ? "play" : "play_back"));
  const controls = el("div.controls", {},
    el("button", { "data-name": "first", title: t("to_start"), "aria-label": t("to_start"), onclick: () => setTime(0) }, "⇤"),
    el("button", { "data-name": "back", title: t("step_back"), "aria-label": t("step_back"), onclick: () => setTime(state.time - 1) }, "‹"),
    el("input", { id: "slider", type: "range", min: 0, max: LAST, value: state.time, "aria-label": t("slider"), oninput: (e) => setTime(Number(e.target.value)) }),
    el("button", { "data-name": "next", title: t("step_next"), "aria-label": t("step_next"), onclick: () => setTime(state.time + 1) }, "›"),
    el("button", { "data-name": "last", title: t("to_end"), "aria-label": t("to_end"), onclick: () => setTime(LAST) }, "⇥"),
    play(-1), play(1),
    el("button", { "data-name": "to-backward", onclick: () => setTime(FORWARD) }, t("to_backward")));
  const node = N[state.node];
  const where = el("p.now", { id: "now", "data-time": state.time, "data-phase": backward() ? "backward" : "forward" },
    el("b", {}, t(backward() ? "phase_backward" : "phase_forward", { k: backward() ? state.time - FORWARD + 1 : state.time + 1, n: backward() ? R.sweep.length : FORWARD })), " ",
    el("span.mono", {}, `#${state.node} ${pathOf(state.node)}`), ` [${node.shape.join(", ")}] · ‖${t("value")}‖ ${num(node.norm)}`,
    node.gnorm === null ? "" : reached(state.node) ? ` · ‖${t("gradient")}‖ ${num(node.gnorm)}` : ` · ${t("gradient_waits")}`, ` · ${bytes(node.bytes)} · `, el("span.mono", {}, node.source));
  queueMicrotask(() => {
    const x = now * w;
    if (x < scroll.scrollLeft + 20 || x > scroll.scrollLeft + scroll.clientWidth - 30) scroll.scrollLeft = x - scroll.clientWidth / 2;
  });
  return [el("h2.visually-hidden", { id: "strip-title" }, t("strip_title")), controls, scroll, where];
}

/** Goes to a moment: a node of the forward pass, or a step of the sweep. */
function setTime(time) {
  state.time = Math.max(0, Math.min(LAST, time));
  state.node = backward() ? R.sweep[state.time - FORWARD] : state.time;
  state.cell = null; state.showTerm = null;
  if (state.time === LAST) state.playing = 0;
  render();
}

/** Goes to a node, and stays in the pass that is being looked at. */
function goTo(id, cell) {
  state.node = id;
  state.time = backward() && sweepAt.has(id) ? FORWARD + sweepAt.get(id) : backward() ? state.time : id;
  state.tab = "tape"; state.cell = cell || null; state.showTerm = null;
  render();
  document.getElementById("view").scrollIntoView({ block: "nearest" });
}

let timer = null;
function togglePlay(way) {
  state.playing = state.playing === way ? 0 : way;
  clearInterval(timer);
  if (state.playing) {
    if (way > 0 && state.time === LAST) state.time = 0;
    timer = setInterval(() => {
      if (!state.playing) return clearInterval(timer);
      setTime(state.time + state.playing);
      if (state.time === 0 || state.time === LAST) { state.playing = 0; clearInterval(timer); render(); }
    }, 220);
  }
  render();
}

/** All nodes as a table. */
function tapeTable() {
  const rows = N.map((node, id) => el("tr", { class: id === state.node ? "here" : null },
    el("td", {}, nodeLink(id, `#${id}`)), el("td", {}, node.op), el("td.mono", {}, pathOf(id)), el("td.mono", {}, `[${node.shape.join(", ")}]`),
    el("td.number", {}, num(node.norm, 3)), el("td.number", {}, node.gnorm === null ? "–" : num(node.gnorm, 3)), el("td.number", {}, bytes(node.bytes)),
    el("td", {}, node.verdict ? tick(node.verdict.ok) : ""), el("td.mono", {}, node.source)));
  return el("details", {}, el("summary", {}, t("all_nodes", { n: N.length })), el("div.scroll.tall", {}, el("table.tape", {},
    el("thead", {}, el("tr", {}, ["id", "op", t("path"), t("shape"), `‖${t("value")}‖`, `‖${t("gradient")}‖`, t("bytes"), t("checked"), t("source_line")].map((x) => el("th", {}, x)))), el("tbody", {}, rows))));
}
