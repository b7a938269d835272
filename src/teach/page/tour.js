// The guided tour, and the quiz.

/** The steps: each goes somewhere, and points at something that is then on the screen. */
function tourSteps() {
  const fan = fanNode(), cross = Math.max(0, R.blocks.length - 1), b = R.blocks[cross], lab = (more) => ({ tab: "lab", block: cross, head: 0, scale: "head", cell: null, ...more });
  const softmaxBug = R.bugs.findIndex((bug) => bug.name === "no inner product"), embed = N.findIndex((node) => node.op === "embedding" && node.gnorm !== null);
  const product = (of, k) => (b ? lab({ ...nodeAt(b[of]), cell: { kind: "b", id: b[of], k, i: 0 } }) : { tab: "lab" });
  return [
    { at: { tab: "tape", time: 0, node: 0, cell: null }, point: "#strip" },
    { at: { tab: "tape", time: FORWARD, node: R.root, cell: null }, point: "#strip" },
    { at: { tab: "tape", ...nodeAt(R.sweep[1] ?? R.root), cell: null }, point: "#laws" },
    { at: product("context", 1), point: "#cell" },
    { at: product("context", 0), point: "#cell" },
    { at: lab(b ? nodeAt(b.weights) : {}), point: "#invariant" },
    { at: product("products", 0), point: "#cell" },
    { at: lab({ scale: "none", ...(b ? nodeAt(b.scores) : {}) }), point: "#saturation" },
    { at: { tab: "tape", ...nodeAt(fan ?? 0), cell: null, showTerm: null }, point: "#fanout table" },
    { at: { tab: "norm", cell: null }, point: "#norm-sum" },
    { at: { tab: "bugs", bug: softmaxBug < 0 ? (R.bugs.length ? 0 : null) : softmaxBug, cell: null, ...(softmaxBug < 0 ? {} : nodeAt(R.bugs[softmaxBug].culprit)) }, point: "#missed" },
    { at: { tab: "flow", ...nodeAt(Math.max(0, embed)), cell: null }, point: "#causal" },
  ];
}
const nodeAt = (id) => ({ node: id, time: sweepAt.has(id) ? FORWARD + sweepAt.get(id) : LAST });
/** A value that several read: of the normalised rows of a layer, where there are such. */
function fanNode() { return R.sweep.find((id) => N[id].op === "layer_norm" && N[id].terms.length >= 3) ?? R.sweep.find((id) => N[id].terms.length > 1); }

/** What the texts of the tour call things: as the maps do. */
function tourNames() {
  const b = R.blocks.at(-1), fan = fanNode();
  return { A: b && b.dropped !== b.weights ? "Ã" : "A", dropped: b && b.dropped !== b.weights ? t("tour_dropped") : "", ways: fan === undefined ? "" : [...new Set(N[fan].terms.map(({ from }) => whichPath(fan, from)))].join(state.language === "zh" ? "、" : ", ") };
}

function goTour(k) {
  const steps = tourSteps();
  state.playing = 0;
  if (k === null || k < 0 || k >= steps.length) return change({ tour: null });
  change({ bug: null, quiz: null, ...steps[k].at, tour: k });
  pointAt();
  document.getElementById("tour-next").focus({ preventScroll: true });
}

/** Marks what the step speaks of, and scrolls it into the part of the window that nothing covers. */
function pointAt() {
  const target = document.querySelector(tourSteps()[state.tour].point);
  if (state.cell) reveal();
  if (!target) return;
  target.classList.add("pointed");
  if (target.closest("#dock")) return;
  const { top, bottom } = openArea(), at = target.getBoundingClientRect(), room = bottom - top;
  if (at.top < top + 6 || at.bottom > bottom - 6) window.scrollBy(0, at.height + 20 < room ? at.top - top - (room - at.height) / 2 : at.top - top - 10);
}

function tourPanel() {
  const place = document.getElementById("tour");
  for (const other of document.querySelectorAll(".pointed")) other.classList.remove("pointed");
  place.hidden = state.tour === null;
  document.body.classList.toggle("touring", state.tour !== null);
  if (state.tour === null) return;
  const k = state.tour, steps = TOUR[state.language], n = steps.length, fill = tourNames();
  say(document.getElementById("tour-title"), `${t("tour_step", { k: k + 1, n })} ${filled(steps[k][0], fill)}`);
  say(document.getElementById("tour-text"), filled(steps[k][1], fill));
  const back = document.getElementById("tour-back"), next = document.getElementById("tour-next"), stop = document.getElementById("tour-stop");
  back.disabled = k === 0;
  say(back, t("tour_back")); say(next, t(k + 1 === n ? "tour_end" : "tour_next")); say(stop, t("tour_stop"));
  document.documentElement.style.setProperty("--tour", `${place.offsetHeight}px`);
}
document.getElementById("tour-back").addEventListener("click", () => goTour(state.tour - 1));
document.getElementById("tour-next").addEventListener("click", () => goTour(state.tour + 1));
document.getElementById("tour-stop").addEventListener("click", () => goTour(null));

/** A quiz: one cell of dS is hidden, and the reader computes it. */
function quizPanel({ h, keep, block }, dS, a, dA, inner) {
  if (replayed()) return null;
  const rows = N[block.weights].shape.at(-2), cols = N[block.weights].shape.at(-1), quiz = state.quiz;
  const begin = () => {
    const open = range(rows * cols).filter((i) => (!keep || keep(h, Math.floor(i / cols), i % cols)) && Math.abs(dS.at(Math.floor(i / cols), i % cols)) > 0);
    if (!open.length) return;
    const i = open[Math.floor(Math.random() * open.length)];
    change({ quiz: { r: Math.floor(i / cols), c: i % cols, hints: 0, said: null, typed: "" }, cell: null });
    document.getElementById("answer")?.focus();
  };
  const place = el("section.panel", { id: "quiz" }, el("h2", {}, t("quiz")), el("p.about", {}, t("quiz_about")));
  if (!quiz) { place.append(el("button.primary", { id: "quiz-start", onclick: begin }, t("quiz_start"))); return place; }
  const { r, c } = quiz, right = dS.at(r, c), rn = names(block.weights, 0), cn = names(block.weights, 1), near = (x, to) => Math.abs(x - to) <= 0.01 * Math.abs(to);
  const check = () => {
    quiz.typed = document.getElementById("answer").value;
    const answer = typed(quiz.typed);
    quiz.said = Number.isNaN(answer) ? "quiz_number" : near(answer, right) ? "quiz_right" : near(answer, a(r, c) * dA.at(r, c)) ? "quiz_forgot" : near(-answer, right) ? "quiz_sign" : "quiz_wrong";
    render(); announce(t(quiz.said));
  };
  const hints = [
    el("p", {}, t("hint_rule"), " ", el("span.formula", { html: M.all(M.at("dS", "r", "c"), EQ, M.at("A", "r", "c"), DOT, M.paren(M.at("dA", "r", "c"), MINUS, M.sum("j"), M.at("A", "r", "j"), DOT, M.at("dA", "r", "j"))) })),
    el("div.scroll", {}, el("table", {}, el("tbody", {}, [["A", (j) => a(r, j)], ["dA", (j) => dA.at(r, j)], ["A·dA", (j) => a(r, j) * dA.at(r, j)]].map(([name, f]) => el("tr", {}, el("th", {}, name), range(cols).map((j) => el(j === c ? "td.number.here" : "td.number", {}, num(f(j), 5)))))))),
    el("p", {}, t("hint_sum", { x: num(inner[r], 5) })), el("p", {}, t("hint_answer", { x: num(right, 6) }))];
  place.append(el("p", {}, t("quiz_question", { cell: `[${rn ? rn[r] : r}, ${cn ? cn[c] : c}]`, name: `dS[${r},${c}]` })),
    el("form.controls", { onsubmit: (e) => { e.preventDefault(); check(); } }, el("label", {}, "dS = ", el("input", { id: "answer", value: quiz.typed, inputmode: "text", autocomplete: "off", size: 14 })), el("button.primary", { id: "quiz-check" }, t("quiz_check")),
      el("button", { type: "button", id: "quiz-hint", disabled: quiz.hints >= hints.length, onclick: () => { quiz.hints++; render(); } }, t("quiz_hint")), el("button", { type: "button", onclick: begin }, t("quiz_another")), el("button", { type: "button", onclick: () => change({ quiz: null }) }, t("quiz_end"))),
    quiz.said ? el(`p.said.${quiz.said === "quiz_right" ? "right" : "wrong"}`, { id: "quiz-said" }, t(quiz.said)) : "", ...hints.slice(0, quiz.hints));
  return place;
}
