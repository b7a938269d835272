// The film: one head's weights and their gradient over a training, and the loss.

function filmView() {
  const film = R.film;
  if (!film?.length) return panel(t("tab_film"), t("no_film"));
  state.film = Math.min(state.film, film.length - 1);
  const frame = film[state.film], [heads, rows, cols] = frame.shape, head = Math.min(state.filmHead, heads - 1);
  const A = once("fa" + state.film, () => decode(frame.a)), dA = once("fd" + state.film, () => decode(frame.da));
  const at = (data) => (r, c) => data[(head * rows + r) * cols + c];
  const map = (key, title, data) => heat({ key, title, rows, cols, at: at(data), rowNames: words?.target_in.map(show), colNames: words?.source.map(show), wide: 320, type: "f32" });
  return [el("section.panel", { id: "film" }, el("h2", {}, t("tab_film")), el("p.about", {}, t("film_about", { n: film.length })),
    el("div.controls", {}, buttons("film-head", t("head"), range(heads).map((k) => [k, k]), head, (k) => { state.filmHead = k; render(); }),
      el("button", { "aria-label": t("step_back"), onclick: () => scrub(state.film - 1) }, "‹"), el("input", { id: "film-slider", type: "range", min: 0, max: film.length - 1, value: state.film, "aria-label": t("film_slider"), oninput: (e) => scrub(Number(e.target.value)) }),
      el("button", { "aria-label": t("step_next"), onclick: () => scrub(state.film + 1) }, "›"), el("b", { id: "film-step" }, t("film_step", { k: frame.step, loss: num(frame.loss, 4) }))),
    el("div.operands", {}, map("film-a", "A", A), map("film-da", "dA", dA)), lossCurve(film))];
}
function scrub(k) { state.film = Math.max(0, Math.min(R.film.length - 1, k)); render(); document.getElementById("film-slider")?.focus(); }

function lossCurve(film) {
  const W = 520, H = 150, last = Math.max(1, film.at(-1).step), most = Math.max(...film.map((f) => f.loss));
  const X = (s) => 40 + s / last * (W - 60), Y = (l) => 10 + (1 - l / most) * (H - 40);
  return svg("svg", { width: W, height: H, viewBox: `0 0 ${W} ${H}`, class: "chart", role: "img", "aria-label": t("film_loss") }, svg("line", { x1: 40, x2: W - 20, y1: Y(0), y2: Y(0), stroke: "#999" }),
    svg("polyline", { points: film.map((f) => `${X(f.step)},${Y(f.loss)}`).join(" "), fill: "none", stroke: "#2166ac", "stroke-width": 2 }),
    film.map((f, k) => svg("circle", { cx: X(f.step), cy: Y(f.loss), r: k === state.film ? 6 : 3, fill: k === state.film ? "#b35806" : "#2166ac" }, svg("title", {}, `${f.step}: ${num(f.loss)}`))),
    svg("text", { x: 36, y: Y(most) + 4, "text-anchor": "end" }, num(most, 3)), svg("text", { x: 36, y: Y(0) + 4, "text-anchor": "end" }, "0"), svg("text", { x: W / 2, y: H - 4, "text-anchor": "middle" }, t("film_axis")));
}
