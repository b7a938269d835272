// Where gradients go: along layers, around sub-layers, from words to words; and where they are exactly zero.

/** Horizontal bars on a logarithmic axis with numbers. */
function bars(rows, label) {
  const known = rows.map((x) => x[1]).filter((x) => x > 0), most = Math.max(...known), least = Math.min(...known);
  const high = Math.ceil(Math.log10(most || 1) + 1e-9), low = Math.min(high - 1, Math.floor(Math.log10(least || 1) - 1e-9)), place = (x) => 100 * between(0, (Math.log10(x) - low) / (high - low), 1);
  const step = Math.ceil((high - low) / 4), marks = range(high - low + 1).filter((k) => k % step === 0).map((k) => low + k);
  const axis = el("span.axis", {}, marks.map((p) => el("span", { class: p === low ? "axis-mark first" : p === high ? "axis-mark last" : "axis-mark", style: `left:${100 * (p - low) / (high - low)}%` }, p >= -3 && p <= 4 ? String(10 ** p) : num(10 ** p, 1))));
  return el("div.scroll", {}, el("table.bars", { "aria-label": label }, el("thead", {}, el("tr", {}, el("th", {}, t("axis_log")), el("td", {}, axis), el("th", {}, ""))), el("tbody", {}, rows.map(([name, x, fill, id]) => el("tr", {}, el("td.mono", {}, id === undefined ? name : nodeLink(id, name)),
    el("td", {}, el("span.meter.long", {}, el("span.fill", { style: `width:${x > 0 ? place(x) : 0}%;background:${fill}` }))), el("td.number", {}, num(x, 3)))))));
}
const SIDES = () => el("p.legend-row", {}, el("span.key", {}, el("span.swatch", { style: "background:#4393c3" }), t("encoder_side")), el("span.key", {}, el("span.swatch", { style: "background:#e08214" }), t("decoder_side")), el("span.key", {}, el("span.swatch", { style: "background:#888" }), t("other_side")));

function flowView() {
  return [layersPanel(), residualPanel(), prePostPanel(), wordsPanel(), zerosPanel()].filter(Boolean);
}

function layersPanel() {
  const squares = new Map();
  N.forEach((node, id) => {
    if (node.op !== "param" || node.gnorm === null) return;
    const name = node.path.match(/^(?:en|de)coder\.layers\.\d+/)?.[0] || node.path.split(".").slice(0, 2).join("."), g = gradNorm(id);
    squares.set(name, g === null || squares.get(name) === null ? null : (squares.get(name) || 0) + g ** 2);
  });
  return panel(t("by_layer"), t("by_layer_about"), SIDES(), bars([...squares].map(([name, s]) => [name, s === null ? null : Math.sqrt(s), name.startsWith("enc") ? "#4393c3" : name.startsWith("dec") ? "#e08214" : "#888"]), t("by_layer")));
}

/** At every sum of a residual: how much gradient goes around the sub-layer, and how much comes back through it. */
function residualPanel() {
  const rows = [];
  N.forEach((node, id) => {
    if (node.op !== "add" || node.terms.length === 0) return;
    const x = node.inputs[0], around = N[x].terms.find(({ from }) => from === id);
    if (!around || N[x].terms.length < 2) return;
    const parts = N[x].terms.filter(({ from }) => from !== id).map(({ from }) => term(x, from));
    const through = parts.every(Boolean) ? length(added(parts)) : null;
    rows.push([id, termNorm(x, id), through]);
  });
  if (!rows.length) return null;
  return panel(t("residual"), t("residual_about"), el("p.legend-row", {}, el("span.key", {}, el("span.swatch", { style: "background:#5aae61" }), t("around")), el("span.key", {}, el("span.swatch", { style: "background:#c2a5cf" }), t("through"))),
    el("div.scroll", {}, el("table", { id: "residual" }, el("thead", {}, el("tr", {}, [t("sum_of"), t("around"), t("through"), `${t("share_around")} (0–100 %)`].map((x) => el("th", {}, x)))),
      el("tbody", {}, rows.map(([id, around, through]) => { const share = through === null || around === null || around + through === 0 ? null : 100 * around / (around + through); return el("tr", {}, el("td.mono", {}, nodeLink(id, `#${id} ${N[id].path}`)), el("td.number", {}, num(around, 3)), el("td.number", {}, num(through, 3)),
        el("td", {}, share === null ? "–" : [el("span.meter.full", {}, el("span.fill", { style: `width:${share}%;background:#5aae61` })), `${Math.round(share)} %`])); })))));
}

/** Fresh models with their norms before and after: what is said of them is read off their numbers. */
function prePostPanel() {
  const norms = R.flow?.norms;
  if (!norms?.length) return null;
  const depths = [...new Set(norms.map((x) => x.depth))], fall = (x) => x.at(-1) / x[0];
  const said = depths.map((depth) => { const of = (placement) => norms.find((x) => x.depth === depth && x.placement === placement), pre = of("pre"), post = of("post"); return pre && post ? el("li", {}, t("pre_post_said", { n: depth, pe: num(fall(pre.encoder), 2), pd: num(fall(pre.decoder), 2), oe: num(fall(post.encoder), 2), od: num(fall(post.decoder), 2) })) : null; });
  return panel(t("pre_post"), t("pre_post_about"), replayed() ? el("p.note", {}, t("without_this_bug")) : null, el("ul", { id: "pre-post-said" }, said), SIDES(), el("div.two", { id: "pre-post" }, depths.flatMap((depth) => norms.filter((x) => x.depth === depth).map((x) => el("div", {},
    el("h3", {}, t(x.placement === "pre" ? "pre_norm" : "post_norm"), `, ${t("layers_n", { n: depth })}`),
    bars([...x.encoder.map((y, k) => [`encoder.layers.${k}`, y, "#4393c3"]), ...x.decoder.map((y, k) => [`decoder.layers.${k}`, y, "#e08214"])], t("pre_post")))))));
}

/** Norms of the gradient of each target word's loss at the words that were read: the tape's, or those of the pass with the planted bug. */
function flowNow() {
  if (!replayed()) return R.flow;
  return once(`flow${state.bug}`, () => {
    const wrong = replayed(), logits = N[R.root].inputs[0], g = grad(logits), bug = R.bugs[state.bug];
    const end = (side) => N.findIndex((node) => node.op === "embedding" && node.sides[0] === side), ends = { source: end("S"), target: end("T") };
    if (!g || ends.source < 0 || ends.target < 0) return null;
    const v = N[logits].shape.at(-1), found = { source: [], target: [] };
    for (let row = 0; row < g.length / v; row++) {
      // The loss is a sum over words; the part of its gradient in one row is that of one word.
      const seed = g.map((x, i) => (Math.floor(i / v) === row ? x : 0)), one = { values: wrong.values, settings: wrong.settings, grads: new Map(), terms: new Map() };
      sweepAgain(bug, one, logits, seed, false);
      for (const [side, id] of Object.entries(ends)) {
        const { rows, cols } = matrix(id), dy = one.grads.get(id);
        if (dy === null) return null;
        found[side].push(range(rows).map((r) => (dy ? length(dy.subarray(r * cols, (r + 1) * cols)) : 0)));
      }
    }
    return found;
  });
}

function wordsPanel() {
  if (!R.flow || !words) return null;
  const maps = flowNow(), rows = words.target_out.map(show);
  if (!maps) return panel(t("word_to_word"), t("not_replayed"));
  const pick = (r) => change({ row: r });
  const map = (which, cols) => heat({ key: "flow-" + which, symbol: "‖∂ℓ/∂x‖", title: t(which === "source" ? "to_source" : "to_target"), rows: rows.length, cols: cols.length, at: (r, c) => maps[which][r][c], rowNames: rows, colNames: cols, hatch: (r, c) => maps[which][r][c] === 0, pick, wide: 330, type: "f64" });
  const row = Math.min(state.row ?? 0, rows.length - 1);
  const list = (which, cols) => bars(cols.map((word, c) => [word, maps[which][row][c], which === "source" ? "#4393c3" : "#e08214"]), rows[row]);
  return panel(t("word_to_word"), t("word_to_word_about"), el("div.operands", {}, map("source", words.source.map(show)), map("target", words.target_in.map(show))),
    choice("flow-row", t("loss_of_word"), rows.map((word, k) => [k, `${k}: ${word}`]), row, (k) => pick(Number(k))), el("div.two", {}, el("div", {}, el("h3", {}, t("to_source")), list("source", words.source.map(show))), el("div", {}, el("h3", {}, t("to_target")), list("target", words.target_in.map(show)))));
}

/** Causality and padding, as what they are: zeros that are exact. */
function zerosPanel() {
  if (!R.flow || !words) return null;
  const now = flowNow();
  if (!now) return panel(t("exact_zeros"), null, statement("causal", null, t("not_replayed")), statement("padding", null, t("not_replayed")));
  const { source, target } = now, { source_length: s, target_length: m } = R.facts || {};
  const future = [], padding = [];
  target.forEach((row, r) => row.forEach((x, c) => { if (c > r) future.push(x); if (c >= m || r >= m) padding.push(x); }));
  source.forEach((row, r) => row.forEach((x, c) => { if (c >= s || r >= m) padding.push(x); }));
  const marks = (which, cols) => el("table.zeros", {}, el("caption", {}, t(which === "source" ? "to_source" : "to_target")), el("tbody", {}, now[which].map((row, r) => el("tr", {}, el("th", {}, show(words.target_out[r])), row.map((x, c) => el("td", { class: x === 0 ? "zero" : "some", title: `${show(cols[c])}: ${num(x)}` }, x === 0 ? "0" : "█"))))));
  const past = target.flatMap((row, r) => row.filter((_, c) => c <= r && r < m));
  const many = (xs) => xs.filter((x) => x !== 0).length;
  const zero = (id, xs, text) => statement(id, xs.every((x) => x === 0), t(text, { n: xs.length }), many(xs) ? ` ${t("but_not", { n: many(xs) })}` : "");
  return panel(t("exact_zeros"), t("exact_zeros_about"), zero("causal", future, "future_zero"), zero("padding", padding, "padding_zero"),
    statement("past", past.every((x) => x !== 0), t("past_not_zero", { n: past.length })), el("div.two", {}, el("div.scroll", {}, marks("target", words.target_in)), el("div.scroll", {}, marks("source", words.source))));
}
