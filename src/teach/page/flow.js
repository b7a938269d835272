// Where gradients go: along layers, around sub-layers, from words to words; and where they are exactly zero.

/** Horizontal bars on a logarithmic scale, with their numbers. */
function bars(rows, label) {
  const most = Math.max(...rows.map((x) => x[1])), least = Math.min(...rows.map((x) => x[1]).filter((x) => x > 0));
  const span = Math.max(1, Math.log10(most / least));
  return el("div.scroll", {}, el("table.bars", { "aria-label": label }, el("tbody", {}, rows.map(([name, x, fill, id]) => el("tr", {}, el("td.mono", {}, id === undefined ? name : nodeLink(id, name)),
    el("td", {}, el("span.meter.long", {}, el("span.fill", { style: `width:${x > 0 ? 8 + 92 * (1 - Math.log10(most / x) / span) : 0}%;background:${fill}` }))), el("td.number", {}, num(x, 3)))))));
}

function flowView() {
  return [layersPanel(), residualPanel(), prePostPanel(), wordsPanel(), zerosPanel()].filter(Boolean);
}

function layersPanel() {
  const squares = new Map();
  for (const node of N) if (node.op === "param" && node.gnorm !== null) {
    const name = node.path.match(/^(?:en|de)coder\.layers\.\d+/)?.[0] || node.path.split(".").slice(0, 2).join(".");
    squares.set(name, (squares.get(name) || 0) + node.gnorm ** 2);
  }
  return panel(t("by_layer"), t("by_layer_about"), bars([...squares].map(([name, s]) => [name, Math.sqrt(s), name.startsWith("enc") ? "#4393c3" : name.startsWith("dec") ? "#e08214" : "#888"]), t("by_layer")));
}

/** At every sum of a residual: how much gradient goes around the sub-layer, and how much comes back through it. */
function residualPanel() {
  const rows = [];
  N.forEach((node, id) => {
    if (node.op !== "add" || node.terms.length === 0) return;
    const x = node.inputs[0], around = N[x].terms.find(({ from }) => from === id);
    if (!around || N[x].terms.length < 2) return;
    const parts = N[x].terms.filter(({ from }) => from !== id);
    const through = parts.every(({ from }) => term(x, from)) ? length(range(size(N[x].shape)).map((i) => sum(parts.map(({ from }) => term(x, from)[i])))) : Math.sqrt(sum(parts.map((p) => p.norm ** 2)));
    rows.push([id, around.norm, through]);
  });
  if (!rows.length) return null;
  return panel(t("residual"), t("residual_about"), el("div.scroll", {}, el("table", { id: "residual" }, el("thead", {}, el("tr", {}, [t("sum_of"), t("around"), t("through"), t("share_around")].map((x) => el("th", {}, x)))),
    el("tbody", {}, rows.map(([id, around, through]) => el("tr", {}, el("td.mono", {}, nodeLink(id, `#${id} ${N[id].path}`)), el("td.number", {}, num(around, 3)), el("td.number", {}, num(through, 3)),
      el("td", {}, el("span.meter", {}, el("span.fill", { style: `width:${100 * around / (around + through)}%;background:#5aae61` })), `${Math.round(100 * around / (around + through))} %`)))))));
}

function prePostPanel() {
  const norms = R.flow?.norms;
  if (!norms?.length) return null;
  const depths = [...new Set(norms.map((x) => x.depth))];
  return panel(t("pre_post"), t("pre_post_about"), el("div.two", { id: "pre-post" }, depths.flatMap((depth) => norms.filter((x) => x.depth === depth).map((x) => el("div", {},
    el("h3", {}, t(x.placement === "pre" ? "pre_norm" : "post_norm"), `, ${t("layers_n", { n: depth })}`),
    bars([...x.encoder.map((y, k) => [`encoder.${k}`, y, "#4393c3"]), ...x.decoder.map((y, k) => [`decoder.${k}`, y, "#e08214"])], t("pre_post")))))));
}

function wordsPanel() {
  if (!R.flow || !words) return null;
  const rows = words.target_out.map(show), maps = { source: R.flow.source, target: R.flow.target };
  const pick = (r) => { state.row = r; render(); };
  const map = (which, cols) => heat({ key: "flow-" + which, title: t(which === "source" ? "to_source" : "to_target"), rows: rows.length, cols: cols.length, at: (r, c) => maps[which][r][c], rowNames: rows, colNames: cols, hatch: (r, c) => maps[which][r][c] === 0, pick, wide: 330, type: "f64" });
  const row = Math.min(state.row ?? 0, rows.length - 1);
  const list = (which, cols) => bars(cols.map((word, c) => [word, maps[which][row][c], which === "source" ? "#4393c3" : "#e08214"]), word_(row));
  return panel(t("word_to_word"), t("word_to_word_about"), el("div.operands", {}, map("source", words.source.map(show)), map("target", words.target_in.map(show))),
    choice("flow-row", t("loss_of_word"), rows.map((word, k) => [k, `${k}: ${word}`]), row, (k) => pick(Number(k))), el("div.two", {}, list("source", words.source.map(show)), list("target", words.target_in.map(show))));
}
const word_ = (row) => show(words.target_out[row]);

/** Causality and padding, as what they are: zeros that are exact. */
function zerosPanel() {
  if (!R.flow || !words) return null;
  const { source, target } = R.flow, { source_length: s, target_length: m } = R.facts || {};
  const future = [], padding = [];
  target.forEach((row, r) => row.forEach((x, c) => { if (c > r) future.push(x); if (c >= m || r >= m) padding.push(x); }));
  source.forEach((row, r) => row.forEach((x, c) => { if (c >= s || r >= m) padding.push(x); }));
  const marks = (which, cols) => el("table.zeros", {}, el("caption", {}, t(which === "source" ? "to_source" : "to_target")), el("tbody", {}, R.flow[which].map((row, r) => el("tr", {}, el("th", {}, show(words.target_out[r])), row.map((x, c) => el("td", { class: x === 0 ? "zero" : "some", title: `${show(cols[c])}: ${num(x)}` }, x === 0 ? "0" : "█"))))));
  const past = target.flatMap((row, r) => row.filter((_, c) => c <= r && r < m));
  return panel(t("exact_zeros"), t("exact_zeros_about"), el("p", { id: "causal" }, tick(future.every((x) => x === 0)), " ", t("future_zero", { n: future.length })), el("p", { id: "padding" }, tick(padding.every((x) => x === 0)), " ", t("padding_zero", { n: padding.length })),
    el("p", {}, tick(past.every((x) => x !== 0)), " ", t("past_not_zero", { n: past.length })), el("div.two", {}, el("div.scroll", {}, marks("target", words.target_in)), el("div.scroll", {}, marks("source", words.source))));
}
