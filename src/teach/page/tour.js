// The guided tour, and the quiz.

/** The steps: each goes somewhere, and points at something. */
function tourSteps() {
  const first = (op) => N.findIndex((node) => node.op === op && node.gnorm !== null);
  const fan = R.sweep.find((id) => N[id].op === "layer_norm" && N[id].terms.length >= 3) ?? R.sweep.find((id) => N[id].terms.length > 1);
  const cross = Math.max(0, R.blocks.length - 1), lab = (more) => ({ tab: "lab", block: cross, head: 0, scale: "head", cell: null, ...more });
  const softmaxBug = R.bugs.findIndex((bug) => bug.name === "no inner product"), embed = first("embedding");
  return [
    { at: { tab: "tape", time: 0, node: 0, cell: null, bug: null }, point: "#strip" },
    { at: { tab: "tape", time: FORWARD, node: R.root, cell: null }, point: "#strip" },
    { at: () => ({ tab: "tape", ...nodeAt(R.sweep[1] ?? R.root), cell: null }), point: "#card" },
    { at: () => { const b = R.blocks[cross]; return b ? { ...lab(), ...nodeAt(b.context), cell: { kind: "b", id: b.context, k: 1, i: 0, title: "dV", symbols: { A: "A", B: "V", C: "O" } } } : { tab: "lab" }; }, point: "#cell" },
    { at: () => { const b = R.blocks[cross]; return b ? { ...lab(), ...nodeAt(b.context), cell: { kind: "b", id: b.context, k: 0, i: 0, title: "dA", symbols: { A: "A", B: "V", C: "O" } } } : { tab: "lab" }; }, point: "#cell" },
    { at: () => ({ ...lab(), ...(R.blocks[cross] ? nodeAt(R.blocks[cross].weights) : {}) }), point: "#invariant" },
    { at: () => { const b = R.blocks[cross]; return b ? { ...lab(), ...nodeAt(b.products), cell: { kind: "b", id: b.products, k: 0, i: 0, title: "dQ", symbols: { A: "Q", B: "K", C: "S" } } } : { tab: "lab" }; }, point: "#cell" },
    { at: () => lab({ scale: "none", ...(R.blocks[cross] ? nodeAt(R.blocks[cross].scores) : {}) }), point: "#saturation" },
    { at: () => ({ tab: "tape", ...nodeAt(fan ?? 0), cell: null, showTerm: null }), point: "#fanout" },
    { at: { tab: "norm", cell: null }, point: "#norm-sum" },
    { at: () => ({ tab: "bugs", bug: softmaxBug < 0 ? (R.bugs.length ? 0 : null) : softmaxBug, cell: null }), point: "#missed" },
    { at: () => ({ tab: "flow", bug: null, ...nodeAt(embed < 0 ? 0 : embed) }), point: "#causal" },
  ];
}
const nodeAt = (id) => ({ node: id, time: sweepAt.has(id) ? FORWARD + sweepAt.get(id) : LAST });

function goTour(k) {
  const steps = tourSteps();
  if (k === null || k < 0 || k >= steps.length) { state.tour = null; document.querySelector(".pointed")?.classList.remove("pointed"); render(); return; }
  const { at, point } = steps[k];
  document.querySelector(".pointed")?.classList.remove("pointed");
  state.playing = 0;
  Object.assign(state, { bug: null, quiz: null }, typeof at === "function" ? at() : at, { tour: k });
  render();
  const target = document.querySelector(point);
  target?.scrollIntoView({ block: "center" });
  target?.classList.add("pointed");
  document.getElementById("tour-next")?.focus({ preventScroll: true });
}

function tourPanel() {
  const place = document.getElementById("tour");
  place.hidden = state.tour === null;
  document.body.classList.toggle("touring", state.tour !== null);
  if (state.tour === null) return place.replaceChildren();
  const k = state.tour, steps = TOUR[state.language], n = steps.length;
  place.replaceChildren(
    el("h2", {}, t("tour_step", { k: k + 1, n }), " ", steps[k][0]), el("p", { "aria-live": "polite" }, steps[k][1]),
    el("div.controls", {}, el("button", { id: "tour-back", disabled: k === 0, onclick: () => goTour(k - 1) }, t("tour_back")),
      el("button.primary", { id: "tour-next", onclick: () => goTour(k + 1) }, t(k + 1 === n ? "tour_end" : "tour_next")),
      el("button", { id: "tour-stop", onclick: () => goTour(null) }, t("tour_stop"))));
}

/** A quiz: one cell of dS is hidden, and the reader computes it. */
function quizPanel(block, h, dS, a, dA, inner, keep) {
  const rows = N[block.weights].shape.at(-2), cols = N[block.weights].shape.at(-1), quiz = state.quiz;
  const begin = () => {
    const open = range(rows * cols).filter((i) => (!keep || keep(h, Math.floor(i / cols), i % cols)) && Math.abs(dS.at(Math.floor(i / cols), i % cols)) > 0);
    if (!open.length) return;
    const i = open[Math.floor(Math.random() * open.length)];
    state.quiz = { r: Math.floor(i / cols), c: i % cols, hints: 0, said: null, typed: "" };
    state.cell = null; render(); document.getElementById("answer")?.focus();
  };
  const place = el("section.panel", { id: "quiz" }, el("h2", {}, t("quiz")), el("p.about", {}, t("quiz_about")));
  if (!quiz) { place.append(el("button.primary", { id: "quiz-start", onclick: begin }, t("quiz_start"))); return place; }
  const { r, c } = quiz, right = dS.at(r, c), rn = names(block.weights, 0), cn = names(block.weights, 1);
  const check = () => {
    quiz.typed = document.getElementById("answer").value;
    const typed = Number(quiz.typed.trim().replace("−", "-").replace(",", "."));
    quiz.said = quiz.typed.trim() === "" || Number.isNaN(typed) ? "quiz_number" : Math.abs(typed - right) <= 0.01 * Math.abs(right) ? "quiz_right" : Math.abs(typed - a(r, c) * dA.at(r, c)) <= 0.01 * Math.abs(a(r, c) * dA.at(r, c)) ? "quiz_forgot" : Math.abs(typed + right) <= 0.01 * Math.abs(right) ? "quiz_sign" : "quiz_wrong";
    render(); announce(t(quiz.said));
  };
  const hints = [
    el("p", {}, t("hint_rule"), " ", el("span.formula", { html: M.all(M.at("dS", "r", "c"), EQ, M.at("A", "r", "c"), DOT, M.paren(M.at("dA", "r", "c"), MINUS, M.sum("j"), M.at("A", "r", "j"), DOT, M.at("dA", "r", "j"))) })),
    el("div.scroll", {}, el("table", {}, el("tbody", {}, [["A", (j) => a(r, j)], ["dA", (j) => dA.at(r, j)], ["A·dA", (j) => a(r, j) * dA.at(r, j)]].map(([name, f]) => el("tr", {}, el("th", {}, name), range(cols).map((j) => el(j === c ? "td.number.here" : "td.number", {}, num(f(j), 5)))))))),
    el("p", {}, t("hint_sum", { x: num(inner[r], 5) })), el("p", {}, t("hint_answer", { x: num(right, 6) }))];
  place.append(el("p", {}, t("quiz_question", { cell: `[${rn ? rn[r] : r}, ${cn ? cn[c] : c}]` })),
    el("form.controls", { onsubmit: (e) => { e.preventDefault(); check(); } }, el("label", {}, "dS = ", el("input", { id: "answer", value: quiz.typed, inputmode: "text", autocomplete: "off", size: 14 })), el("button.primary", { id: "quiz-check" }, t("quiz_check")),
      el("button", { type: "button", id: "quiz-hint", disabled: quiz.hints >= hints.length, onclick: () => { quiz.hints++; render(); } }, t("quiz_hint")), el("button", { type: "button", onclick: begin }, t("quiz_another")), el("button", { type: "button", onclick: () => { state.quiz = null; render(); } }, t("quiz_end"))),
    quiz.said ? el(`p.said.${quiz.said === "quiz_right" ? "right" : "wrong"}`, { id: "quiz-said", role: "status" }, t(quiz.said)) : "", ...hints.slice(0, quiz.hints));
  return place;
}
