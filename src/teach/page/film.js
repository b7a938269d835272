// The film: one head's weights and their gradient over a training, and the loss.

function filmView() {
  const film = R.film;
  if (!film?.length) return panel(t("tab_film"), t("no_film"));
  const k = Math.min(state.film, film.length - 1), frame = film[k], [heads, rows, cols] = frame.shape, head = Math.min(state.filmHead, heads - 1);
  const A = once("fa" + k, () => decode(frame.a)), dA = once("fd" + k, () => decode(frame.da));
  const at = (data) => (r, c) => data[(head * rows + r) * cols + c];
  const map = (key, title, data) => heat({ key, symbol: title, title, rows, cols, at: at(data), rowNames: words?.target_in.map(show), colNames: words?.source.map(show), wide: 320, type: "f32" });
  return [el("section.panel", { id: "film" }, el("h2", {}, t("tab_film")), el("p.about", {}, t("film_about", { n: film.length })), replayed() ? el("p.note", {}, t("without_this_bug")) : null,
    el("div.controls", {}, headButtons("film-head", heads, head, (k) => change({ filmHead: k })),
      el("button", { "aria-label": t("step_back"), onclick: () => scrub(k - 1) }, "‹"), el("input", { id: "film-slider", type: "range", min: 0, max: film.length - 1, value: k, "aria-label": t("film_slider"), oninput: (e) => scrub(Number(e.target.value)) }),
      el("button", { "aria-label": t("step_next"), onclick: () => scrub(k + 1) }, "›"), el("b", { id: "film-step" }, t("film_step", { k: frame.step, loss: num(frame.loss, 4) }))),
    el("div.operands", {}, map("film-a", "A", A), map("film-da", "dA", dA)), lossCurve(film, k))];
}
function scrub(k) { change({ film: between(0, k, R.film.length - 1) }, "film"); }

function lossCurve(film, now) {
  const W = 520, H = 190, L = 48, last = Math.max(1, film.at(-1).step), most = Math.max(...film.map((f) => f.loss)), steps = ticks(0, last, 6), losses = ticks(0, most, 4);
  const X = (s) => L + s / last * (W - L - 20), Y = (l) => 10 + (1 - l / most) * (H - 50);
  return [svg("svg", { width: W, height: H, viewBox: `0 0 ${W} ${H}`, class: "chart", role: "img", "aria-label": t("film_loss") },
    losses.map((l) => [svg("line", { x1: L, x2: W - 20, y1: Y(l), y2: Y(l), stroke: "#ddd" }), svg("text", { x: L - 4, y: Y(l) + 4, "text-anchor": "end" }, num(l, 3))]),
    steps.map((s) => [svg("line", { x1: X(s), x2: X(s), y1: Y(0), y2: Y(0) + 4, stroke: "#999" }), svg("text", { x: X(s), y: Y(0) + 15, "text-anchor": "middle" }, `${s}`)]),
    svg("polyline", { points: film.map((f) => `${X(f.step)},${Y(f.loss)}`).join(" "), fill: "none", stroke: "#2166ac", "stroke-width": 2 }),
    film.map((f, k) => { const dot = svg("circle", { cx: X(f.step), cy: Y(f.loss), r: k === now ? 6 : 3, fill: k === now ? "#b35806" : "#2166ac", class: "dot" }, svg("title", {}, `${f.step}: ${num(f.loss)}`)); dot.addEventListener("click", () => scrub(k)); return dot; }),
    svg("text", { x: W / 2, y: H - 6, "text-anchor": "middle" }, t("film_axis")), svg("text", { x: 12, y: H / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${H / 2})` }, t("film_loss_axis"))),
    el("p.legend-row", {}, el("span.key", {}, el("span.swatch.round", { style: "background:#2166ac" }), t("film_dot")), el("span.key", {}, el("span.swatch.round", { style: "background:#b35806" }), t("film_dot_now")))];
}
