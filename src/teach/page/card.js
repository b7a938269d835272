// The card of a node: its rule, its operands, what flows in and out, and the verdict on it.

function cardView() {
  const id = state.node, node = N[id], { inputs: names_, output } = symbols(id), mathematics = rule(id);
  const bug = state.bug === null ? null : R.bugs[state.bug], blamed = bug && bug.culprit === id, poisoned = replayed()?.grads.has(id);
  const layers = matrix(id).layers, head = layers > 1 ? headButtons("head", layers, Math.min(state.head, layers - 1), (h) => change({ head: h, cell: null })) : null;
  const about = ABOUT[state.language][node.op];
  const title = el("h2", {}, `#${id} `, el("span.mono", {}, pathOf(id)), " ", blamed ? el("span.badge.wrong", {}, t("wrong_rule")) : poisoned ? el("span.badge.poisoned", {}, t("poisoned_badge")) : verdictBadge(id));
  const laws = el("div.laws", { id: "laws" }, mathematics.forward ? el("p", {}, el("span.law", {}, t("forward")), el("span.formula", { html: mathematics.forward })) : null,
    mathematics.backward.slice(0, Math.max(1, node.inputs.length)).map((law, k) => el("p", {}, el("span.law", {}, k ? "" : t("backward")), el("span.formula", { html: law }))),
    about ? el("p.about", {}, about) : null);
  const pickValue = (of) => (i) => pickCell({ kind: "v", id: of, i });
  // The operands, each with what this op adds to its gradient under it.
  const operands = node.inputs.map((input, k) => {
    const symbol = names_[k], has = N[input].terms.some(({ from }) => from === id);
    return el("div.pair", {},
      nodeHeat(input, "v", { symbol, title: symbol, note: nick(input), pick: pickValue(input), wide: 300 }),
      has ? nodeHeat(input, "t", { symbol: "d" + symbol, from: id, title: `d${symbol} +=`, note: t("adds_to", { id: nick(input) }), pick: (i) => pickCell({ kind: "b", id, k, i }), wide: 300 }) : el("p.missing", {}, t("needs_none")),
      el("p", {}, nodeLink(input)));
  });
  const result = el("div.pair", {},
    nodeHeat(id, "v", { symbol: output, title: output, note: t("output"), pick: pickValue(id), wide: 300 }),
    node.gnorm === null ? el("p.missing", {}, t("no_gradient")) : backward() && !reached(id) ? el("p.missing", {}, t("gradient_waits")) : nodeHeat(id, "g", { symbol: "d" + output, title: `d${output}`, note: node.verdict?.zero ? t("zero_map") : t("incoming"), pick: (i) => pickCell({ kind: "g", id, i }), wide: 300 }),
    el("p", {}, t("read_by"), " ", node.terms.length ? node.terms.map(({ from }) => [nodeLink(from), " "]).flat() : "–"));
  return [
    el(`section.card${blamed ? ".red" : poisoned ? ".poison" : ""}`, { id: "card", "data-node": id, "data-red": blamed ? "yes" : "no" }, title, head, laws,
      el("div.flowgrid", {}, node.inputs.length ? el("div.side", {}, el("h3", {}, t("operands")), el("div.operands", {}, operands)) : null, el("div.side", {}, el("h3", {}, t("result")), result)),
      derivedMaps(id), fanOut(id), verdictPanel(id)),
    tapeTable(),
  ];
}

/** What the arithmetic of some ops names besides operands and result. */
function derivedMaps(id) {
  const node = N[id], pick = (name) => (r, c) => pickCell({ kind: "d", name, id, i: r * matrix(id).cols + c });
  let maps = null;
  if (node.op === "dropout") maps = [dropoutMap(id, state.head, 300)];
  if (node.op === "layer_norm" && value(node.inputs[0])) {
    const rows = range(matrix(id).rows).map((r) => normRow(id, r)), map = (key, name, title, at) => heat({ key: key + id, symbol: title, title, rows: rows.length, cols: matrix(id).cols, at, rowNames: names(id, 0), wide: 300, type: "f64", pick: pick(name) });
    maps = [map("hat", "hat", "x̂", (r, c) => rows[r].hat[c]), rows[0].g ? map("gain", "gain", "g", (r, c) => rows[r].g[c]) : null];
  }
  if (node.op === "cross_entropy" && value(node.inputs[0])) {
    const [a] = node.inputs, p = probabilities(id), losses = rowLosses(id), v = N[a].shape.at(-1);
    maps = [heat({ key: "loss" + id, symbol: "ℓ", title: "ℓ", note: t("note_losses"), rows: 1, cols: losses.length, at: (_, c) => losses[c], colNames: words?.target_out.map(show), type: "f64", wide: 300, pick: (_, c) => pickCell({ kind: "d", name: "loss", id, i: c }) }),
      heat({ key: "softmax" + id, symbol: "p", title: "p = softmax(x)", rows: p.length / v, cols: v, at: (r, c) => p[r * v + c], rowNames: names(a, 0), type: "f64", wide: 300, pick: (r, c) => pickCell({ kind: "d", name: "softmax", id, i: r * v + c }) })];
  }
  return maps && el("section", { id: "derived" }, el("h3", {}, t("derived")), el("div.operands", {}, maps));
}

/** The mask that a dropout has drawn: one where an entry is kept. */
function dropoutMap(id, head, wide) {
  const { layers, rows, cols } = matrix(id), start = Math.min(head, layers - 1) * rows * cols, { kept, p } = N[id].set, keep = softmaxKeep(id);
  return heat({ key: "mask" + id, symbol: "m", title: "m", note: t("dropout_mask", { p: num(p) }), rows, cols, at: (r, c) => (kept[start + r * cols + c] === "1" ? 1 : 0), rowNames: names(id, 0), colNames: names(id, 1), hatch: keep ? (r, c) => !keep(0, r, c) : null, wide, pick: (r, c) => pickCell({ kind: "d", name: "mask", id, i: start + r * cols + c }) });
}

/** The parts of a gradient, added one after the other. */
function fanOut(id) {
  const { terms } = N[id], d = "d" + symbols(id).output;
  if (!terms.length) return null;
  const now = backward() ? state.time - FORWARD : Infinity;
  const done = terms.filter(({ from }) => sweepAt.get(from) <= now).length;
  const upto = Math.min(state.showTerm ?? done, terms.length), parts = terms.map(({ from }) => term(id, from)), several = terms.length > 1, all = parts.every(Boolean);
  const map = ({ from }, k) => nodeHeat(id, "t", { symbol: d + subscript(k + 1), from, title: `${d}${subscript(k + 1)}`, note: `${whichPath(id, from)}, ${nick(from)}`, wide: several ? 220 : 300, pick: (i) => pickCell({ kind: "b", id: from, k: N[from].inputs.indexOf(id), i }) });
  if (!several) return el("section", { id: "fanout" }, el("h3", {}, t("one_reader")), el("p.about", {}, t("one_reader_about"), " ", nodeLink(terms[0].from)), all ? el("div.operands", {}, map(terms[0], 0)) : null);
  const rows = terms.map(({ from }, k) => el("tr", { class: k < upto ? null : "waits" },
    el("td", {}, `${d}${subscript(k + 1)}`), el("td", {}, nodeLink(from)), el("td.mono", {}, whichPath(id, from)), el("td.number", {}, num(termNorm(id, from))),
    el("td.number", {}, all ? num(length(added(parts.slice(0, k + 1)))) : "–"), el("td", {}, sweepAt.get(from) <= now ? t("added") : t("waits"))));
  let maps = null, agrees = null;
  if (all) {
    const partial = upto ? added(parts.slice(0, upto)) : parts[0].map(() => 0), total = added(parts), own = grad(id);
    if (own && (upto === terms.length)) { const off = largest(total.map((x, i) => x - own[i])); agrees = statement("fan-out-sum", off <= 1e-6 * Math.max(largest(total), cancelled(id), 1e-300), t("fan_out_sum", { d, x: num(off, 2) })); }
    maps = el("div.operands", {}, terms.map(map), nodeHeat(id, "g", { data: partial, key: `partial${id}`, symbol: t("running_sum", { k: upto, n: terms.length }), title: t("running_sum", { k: upto, n: terms.length }), wide: 220, pick: (i) => pickCell({ kind: "g", id, i }) }));
  }
  return el("section", { id: "fanout" }, el("h3", {}, t("fan_out")), el("p.about", {}, t("fan_out_about", { n: terms.length })),
    el("table", {}, el("thead", {}, el("tr", {}, ["", t("reader"), t("way"), "‖·‖", t("sum_so_far"), ""].map((x) => el("th", {}, x)))), el("tbody", {}, rows)), agrees,
    el("p", {}, buttons("term", t("show_sum"), range(terms.length + 1).map((k) => [k, k]), upto, (k) => change({ showTerm: k }))), maps);
}

/** Which way a part of a gradient came: query, key, value, residual, normalised branch. */
function whichPath(id, from) {
  const path = N[from].path, op = N[from].op;
  for (const [part, key] of [["q_proj", "way_query"], ["k_proj", "way_key"], ["v_proj", "way_value"]]) if (path.endsWith(part)) return t(key);
  if (op === "add") return t("way_residual");
  if (op === "layer_norm") return t("way_branch");
  if (op === "embedding") return t("way_words");
  return op;
}

/** What finite differences say of a node in the pass that is shown: "agrees", "disagrees", "zero", "blind", "unknown"; `null` where no gradient is. */
function verdictOf(id) {
  const { verdict } = N[id], wrong = replayed();
  if (!verdict) return null;
  if (verdict.zero) { const g = wrong?.grads.get(id); return g && largest(g) > 1e-6 * cancelled(id) ? "disagrees" : "zero"; }
  if (verdict.outcome === "blind") return "blind";
  if (!wrong) return verdict.ok ? "agrees" : "disagrees";
  // Differences of a wrong function were not taken.
  if (wrong.values.size) return "unknown";
  const cells = lossCells(id);
  return cells.some((cell) => cell.ok === null) ? "unknown" : cells.every((cell) => cell.ok) && !(R.bugs[state.bug].culprit === id) ? "agrees" : "disagrees";
}
/** The cells of a node that were checked, each with the gradient of the pass that is shown. */
function lossCells(id) {
  const { verdict } = N[id], wrong = replayed(), g = wrong?.grads.has(id) ? wrong.grads.get(id) : undefined;
  if (g === undefined) return verdict.loss;
  if (g === null) return verdict.loss.map((cell) => ({ ...cell, analytic: null, error: null, ok: null }));
  const scale = verdict.largest;
  return verdict.loss.map((cell) => { const error = Math.abs(g[cell.at] - cell.numeric) / scale; return { ...cell, analytic: g[cell.at], error, ok: error <= 1e-6 + 10 * cell.noise }; });
}
const OUTCOMES = { agrees: ["right", "✓", "verdict_ok"], disagrees: ["wrong", "✗", "verdict_bad"], zero: ["zero", "0", "verdict_zero"], blind: ["", "–", "verdict_blind"], unknown: ["", "–", "verdict_unknown"] };
function verdictBadge(id) {
  const [kind, mark, text] = OUTCOMES[verdictOf(id)] || ["", "", "not_checked"];
  return el(kind ? `span.badge.${kind}` : "span.badge", {}, mark, mark ? " " : "", t(text));
}
const verdictMark = (id) => { const outcome = verdictOf(id); return outcome === null ? "" : outcome === "zero" ? el("span.unchecked", { title: t("verdict_zero") }, "0") : tick({ agrees: true, disagrees: false }[outcome] ?? null); };

/** What finite differences say of a node. */
function verdictPanel(id) {
  const { verdict, inputs } = N[id];
  if (!verdict) return el("section", {}, el("h3", {}, t("verdict")), el("p.about", {}, t("not_checked_about")));
  const place = (of, at) => { const { layer, r, c } = cellOf(of, at); return `[${matrix(of).layers > 1 ? `${t("head")} ${layer + 1}: ` : ""}${names(of, 0)?.[r] ?? r}, ${names(of, 1)?.[c] ?? c}]`; };
  const row = (of, cell) => el("tr", {}, el("td", {}, place(of, cell.at)), el("td.number", {}, num(cell.analytic, 8)), el("td.number", {}, num(cell.numeric, 8)), el("td.number", {}, num(cell.error, 2)), el("td.number", {}, num(cell.noise, 2)), el("td", {}, verdict.zero || verdict.outcome === "blind" ? "" : tick(cell.ok)));
  const head = el("thead", {}, el("tr", {}, [t("cell"), t(replayed() ? "with_bug" : "analytic"), t("numeric"), t("error"), t("noise"), ""].map((x) => el("th", {}, x))));
  const table = (rows) => el("div.scroll", {}, el("table", {}, head.cloneNode(true), el("tbody", {}, rows)));
  const wrong = replayed(), bug = wrong && R.bugs[state.bug], culprit = bug?.culprit === id ? bug.wrong : null;
  const own = culprit && el("table", {}, el("thead", {}, el("tr", {}, [t("cell"), t("with_bug"), culprit.kind === "value" ? t("without_bug") : t("numeric"), t("difference_of"), ""].map((x) => el("th", {}, x)))),
    el("tbody", {}, el("tr", {}, el("td", {}, place(culprit.kind === "rule" ? culprit.input : id, culprit.at)), el("td.number", {}, num(culprit.wrong, 8)), el("td.number", {}, num(culprit.numeric ?? culprit.right, 8)), el("td.number", {}, num(culprit.wrong - (culprit.numeric ?? culprit.right), 3)), el("td", {}, tick(false)))));
  if (wrong?.values.size) return el("section", { id: "verdict" }, el("h3", {}, t("verdict")), el("p.about", {}, t("kind_value")), own);
  const clean = !wrong?.grads.has(id);
  return el("section", { id: "verdict" }, el("h3", {}, t("verdict")), el("p.about", {}, t("verdict_about")),
    verdict.zero ? (verdictOf(id) === "zero" ? el("p.zero-reason", { id: "zero-reason" }, t("zero_" + verdict.zero)) : statement("zero-reason", false, t("zero_" + verdict.zero))) : verdict.outcome === "blind" ? el("p.zero-reason", {}, t("blind_about")) : null, own,
    // That the loss changes as itself says nothing.
    id === R.root ? null : [el("h4", {}, t("to_the_loss")), table(lossCells(id).map((cell) => row(id, cell)))],
    verdict.rules.length && clean && !culprit ? [el("h4", {}, t("own_rule")), table(verdict.rules.flatMap((r) => r.cells.map((cell) => { const tr = row(r.input, cell); tr.firstChild.prepend(`d${symbols(id).inputs[inputs.indexOf(r.input)] || "x"} `); return tr; })))] : null,
    verdict.curve.length && !wrong && !verdict.zero ? [el("h4", {}, t("curve")), el("p.about", {}, t("curve_about")), curve(verdict)] : null);
}

/** Error against step size, both on logarithmic axes: a V. */
function curve(verdict) {
  const W = 340, H = 150, X = (h) => 40 + (Math.log10(h) + 11) / 10 * (W - 60), Y = (e) => 10 + (0 - Math.log10(Math.max(e, 1e-14))) / 14 * (H - 40);
  const points = verdict.curve.map(([h, e]) => `${X(h)},${Y(e)}`).join(" ");
  const noise = verdict.loss[0].noise;
  return svg("svg", { width: W, height: H, viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": t("curve"), class: "chart" },
    [0, -4, -8, -12].map((p) => [svg("line", { x1: 40, x2: W - 20, y1: Y(10 ** p), y2: Y(10 ** p), stroke: "#ddd" }), svg("text", { x: 34, y: Y(10 ** p) + 3, "text-anchor": "end" }, `1e${p}`)]),
    svg("line", { x1: 40, x2: W - 20, y1: Y(noise), y2: Y(noise), stroke: "#b35806", "stroke-dasharray": "4 3" }), svg("text", { x: W - 20, y: Y(noise) - 3, "text-anchor": "end", fill: "#b35806" }, t("noise_floor")),
    svg("polyline", { points, fill: "none", stroke: "#2166ac", "stroke-width": 2 }), verdict.curve.map(([h, e]) => svg("circle", { cx: X(h), cy: Y(e), r: 3, fill: "#2166ac" }, svg("title", {}, `h = ${num(h)}: ${num(e, 2)}`))),
    [-1, -3, -5, -7, -9, -11].map((p) => svg("text", { x: X(10 ** p), y: H - 14, "text-anchor": "middle" }, `1e${p}`)), svg("text", { x: W / 2, y: H - 2, "text-anchor": "middle" }, t("step_size")));
}
