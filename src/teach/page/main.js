// The page: what is shown follows from the state, and only what has changed is drawn anew.

const TABS = { tape: cardView, lab: labView, words: wordsView, norm: normView, bugs: bugsView, flow: flowView, film: filmView };

function facts() {
  const f = R.facts || {}, type = t(R.stored === "mixed" ? "stored_mixed" : R.stored === "f64" ? "stored_f64" : "stored_f32");
  const model = f.d_model ? t("facts_model", { enc: f.encoder_layers, dec: f.decoder_layers, d: f.d_model, heads: f.heads, ffn: f.ffn, norm: f.norm, n: f.parameters.toLocaleString("en") }) : "";
  const outcomes = range(N.length).map(verdictOf), count = (what) => outcomes.filter((x) => x === what).length;
  const loss = replayed() ? value(R.root)?.[0] : R.loss;
  return [f.source ? el("span.sentence", {}, "“", f.source, "” → “", f.target, "”") : "", " ", model, " ", t(f.smoothing === undefined ? "facts_loss" : f.smoothing ? "facts_loss_smoothed" : "facts_loss_token", { x: num(loss, 6), e: num(f.smoothing) }), " ", el("b", { id: "precision" }, t("facts_precision", { computed: R.computed, stored: type })), " ",
    count("agrees") + count("disagrees") === 0 ? "" : el("span", { id: "checked-count" }, t(replayed() ? "facts_checked_bug" : "facts_checked", { n: count("agrees") + count("disagrees"), right: count("agrees"), wrong: count("disagrees") })), count("zero") ? [" ", el("span", { id: "zero-count" }, t("facts_zero", { n: count("zero") }))] : "", count("blind") ? " " + t("facts_blind", { n: count("blind") }) : "", count("unknown") ? " " + t("facts_unknown", { n: count("unknown") }) : "",
    f.dropout ? " " + t("facts_dropout") : "", R.weights_left_out ? " " + t("facts_weights") : ""];
}

/** What each part of the page was last drawn from. */
const drawn = {};
function part(name, key, draw) {
  if (drawn[name] === key) return;
  drawn[name] = key;
  draw();
}

function render() {
  const active = document.activeElement, id = active?.id, name = active?.dataset?.name, key = active?.dataset?.key;
  const cursor = key ? heats.get(key)?.cursor : null;
  const { language, bug } = state;
  part("page", language, () => {
    document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
    document.title = t("title");
    for (const part of document.querySelectorAll("[data-t]")) part.textContent = t(part.dataset.t);
    for (const part of document.querySelectorAll("[data-t-label]")) part.setAttribute("aria-label", t(part.dataset.tLabel));
    const button = document.getElementById("language");
    button.textContent = language === "zh" ? "English" : "中文";
    button.lang = language === "zh" ? "en" : "zh-Hans";
    document.getElementById("footer").replaceChildren(el("p", {}, t("footer", { version: R.version })), el("p", {}, t("keys")));
  });
  part("facts", `${language}/${bug}`, () => document.getElementById("facts").replaceChildren(...facts().flat()));
  part("tabs", `${language}/${bug}/${state.tab}`, () => document.getElementById("tabs").replaceChildren(
    ...Object.keys(TABS).map((tab) => el("button", { role: "tab", id: `tab-${tab}`, "aria-selected": String(state.tab === tab), onclick: () => openTab(tab) }, t("tab_" + tab), tab === "bugs" && bug !== null ? " ●" : ""))));
  part("colours", `${language}/${state.colour}`, () => document.getElementById("colours").replaceChildren(buttons("colour", t("colours"), [["linear", t("scale_linear")], ["root", t("scale_root")]], state.colour, (colour) => change({ colour }))));
  drawBanner();
  drawStrip();
  const y = window.scrollY;
  heats.clear();
  document.getElementById("view").replaceChildren(...[TABS[state.tab]()].flat(3).filter(Boolean));
  tourPanel();
  drawDock();
  if (window.scrollY !== y) window.scrollTo(0, y);
  const again = id ? document.getElementById(id) : name ? document.querySelector(`[data-name="${name}"]`) : key ? document.querySelector(`[data-key="${key}"]`) : null;
  if (key && cursor && heats.get(key)) heats.get(key).cursor = cursor;
  if (again && again !== document.activeElement) again.focus({ preventScroll: true });
}

function openTab(tab) { change({ tab, cell: null }); showView(); }

document.getElementById("language").addEventListener("click", () => change({ language: state.language === "zh" ? "en" : "zh" }));
document.getElementById("tour-start").addEventListener("click", () => goTour(0));
document.getElementById("dock-close").addEventListener("click", () => pickCell(null));
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, select, textarea, canvas, summary")) return;
  const heads = () => (state.tab === "lab" && R.blocks.length ? N[R.blocks[state.block].weights].shape[1] : matrix(state.node).layers);
  const keys = {
    ArrowRight: () => setTime(state.time + 1), ArrowLeft: () => setTime(state.time - 1), Home: () => setTime(0), End: () => setTime(LAST),
    b: () => setTime(FORWARD), p: () => togglePlay(1), l: () => document.getElementById("language").click(), t: () => goTour(state.tour === null ? 0 : null), Escape: () => (state.tour !== null ? goTour(null) : pickCell(null)),
    "[": () => change({ head: Math.max(0, state.head - 1), cell: null }), "]": () => change({ head: between(0, state.head + 1, heads() - 1), cell: null }),
  };
  const tab = Object.keys(TABS)[Number(e.key) - 1];
  if (tab) openTab(tab); else if (keys[e.key]) keys[e.key](); else return;
  e.preventDefault();
});
window.addEventListener("popstate", follow);
window.addEventListener("hashchange", follow);
let width = document.documentElement.clientWidth;
window.addEventListener("resize", () => { if (document.documentElement.clientWidth !== width) { width = document.documentElement.clientWidth; render(); } });

// The heart of it: the weights of the last attention.
if (R.blocks.length) START.block = R.blocks.length - 1;
START.node = START.time = R.blocks.length ? R.blocks.at(-1).weights : 0;
if (navigator.language.startsWith("zh")) START.language = "zh";
Object.assign(state, START);
Object.assign(state, stateOf(location.hash.slice(1)));
render();
history.replaceState(null, "", "#" + address());
if (state.tour !== null) pointAt(); else if (state.cell) reveal();

/** For those who open the browser's console: the numbers behind the page. */
window.microscope = {
  record: R, open, value, gradient: grad, contribution: term, symbols,
  bugs: () => R.bugs.map(bugName),
  maps: () => [...heats.values()].map(({ key, symbol, rows, cols, pick }) => ({ key, symbol, rows, cols, picks: Boolean(pick) })),
  at: (key, r, c) => heats.get(key)?.at(r, c),
  pick: (key, r, c) => heats.get(key)?.pick(r, c),
  place: (key, r, c) => heats.get(key)?.placeOf(r, c),
  outlined: () => [...heats.values()].filter((h) => h.outlines.length).map((h) => h.key),
};
