// The page: what is shown follows from the state.

const TABS = { tape: cardView, lab: labView, norm: normView, bugs: bugsView, flow: flowView, film: filmView };

function facts() {
  const f = R.facts || {}, type = t(R.stored === "mixed" ? "stored_mixed" : R.stored === "f64" ? "stored_f64" : "stored_f32");
  const model = f.d_model ? t("facts_model", { enc: f.encoder_layers, dec: f.decoder_layers, d: f.d_model, heads: f.heads, ffn: f.ffn, norm: f.norm, n: f.parameters.toLocaleString("en") }) : "";
  const checked = N.filter((n) => n.verdict), right = checked.filter((n) => n.verdict.ok).length;
  return [f.source ? el("span.sentence", {}, "“", f.source, "” → “", f.target, "”") : "", " ", model, " ", t("facts_loss", { x: num(R.loss, 6) }), " ", el("b", { id: "precision" }, t("facts_precision", { computed: R.computed, stored: type })), " ",
    t("facts_checked", { n: checked.length, right }), f.dropout ? " " + t("facts_dropout") : "", R.weights_left_out ? " " + t("facts_weights") : ""];
}

function render() {
  const active = document.activeElement, id = active?.id, name = active?.dataset?.name, key = active?.dataset?.key;
  const cursor = key ? heats.get(key)?.cursor : null;
  heats.clear();
  document.documentElement.lang = state.language === "zh" ? "zh-Hans" : "en";
  document.title = t("title");
  for (const part of document.querySelectorAll("[data-t]")) part.textContent = t(part.dataset.t);
  const language = document.getElementById("language");
  language.textContent = state.language === "zh" ? "English" : "中文";
  language.lang = state.language === "zh" ? "en" : "zh-Hans";
  document.getElementById("facts").replaceChildren(...facts());
  document.getElementById("tabs").replaceChildren(...Object.keys(TABS).map((tab) => el("button", { role: "tab", id: `tab-${tab}`, "aria-selected": String(state.tab === tab), onclick: () => { state.tab = tab; state.cell = null; render(); } }, t("tab_" + tab), tab === "bugs" && state.bug !== null ? " ●" : "")));
  const scrolled = document.querySelector(".strip-scroll")?.scrollLeft;
  document.getElementById("strip").replaceChildren(...stripSection().flat());
  if (scrolled !== undefined) document.querySelector(".strip-scroll").scrollLeft = scrolled;
  const y = window.scrollY;
  document.getElementById("view").replaceChildren(...[TABS[state.tab]()].flat(3).filter(Boolean));
  window.scrollTo(0, y);
  document.getElementById("footer").replaceChildren(el("p", {}, t("footer", { version: R.version })), el("p", {}, t("keys")));
  tourPanel();
  const again = id ? document.getElementById(id) : name ? document.querySelector(`[data-name="${name}"]`) : key ? document.querySelector(`[data-key="${key}"]`) : null;
  if (key && cursor && heats.get(key)) heats.get(key).cursor = cursor;
  again?.focus({ preventScroll: true });
  if (location.hash.slice(1) !== address()) history.replaceState(null, "", "#" + address());
}
const address = () => `${state.tab}/${state.node}/${state.language}`;

document.getElementById("language").addEventListener("click", () => { state.language = state.language === "zh" ? "en" : "zh"; render(); });
document.getElementById("tour-start").addEventListener("click", () => goTour(0));
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, select, textarea, canvas, summary")) return;
  const keys = {
    ArrowRight: () => setTime(state.time + 1), ArrowLeft: () => setTime(state.time - 1), Home: () => setTime(0), End: () => setTime(LAST),
    b: () => setTime(FORWARD), p: () => togglePlay(1), l: () => document.getElementById("language").click(), t: () => goTour(state.tour === null ? 0 : null), Escape: () => goTour(null),
    "[": () => { state.head = Math.max(0, state.head - 1); render(); }, "]": () => { state.head += 1; render(); },
  };
  const tab = Object.keys(TABS)[Number(e.key) - 1];
  if (tab) { state.tab = tab; state.cell = null; render(); } else if (keys[e.key]) keys[e.key](); else return;
  e.preventDefault();
});
if (R.blocks.length) {
  // The heart of it: the weights of the last attention.
  state.block = R.blocks.length - 1;
  state.node = state.time = R.blocks[state.block].weights;
}
{
  const [tab, node, language] = location.hash.slice(1).split("/");
  if (TABS[tab]) state.tab = tab;
  if (N[Number(node)]) { state.node = Number(node); state.time = state.node; }
  if (language === "zh" || (!language && navigator.language.startsWith("zh"))) state.language = "zh";
}
render();
