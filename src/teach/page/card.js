// The card of a node: its rule, its operands, what flows in and out, and the verdict on it.

function cardView() {
  const id = state.node, node = N[id], { inputs: names_, output } = symbols(id), mathematics = rule(id);
  const bug = state.bug === null ? null : R.bugs[state.bug], blamed = bug && bug.culprit === id;
  const poisoned = bug && bug.poisoned.find(([other]) => other === id);
  const layers = matrix(id).layers, head = layers > 1 ? buttons("head", t("head"), range(layers).map((h) => [h, h]), state.head, (h) => { state.head = h; render(); }) : null;
  const about = ABOUT[state.language][node.op];
  const title = el("h2", {}, `#${id} `, el("span.mono", {}, pathOf(id)), " ", blamed ? el("span.badge.wrong", {}, t("wrong_rule")) : poisoned ? el("span.badge.poisoned", {}, t("poisoned_badge")) : verdictBadge(node));
  const laws = el("div.laws", {}, mathematics.forward ? el("p", {}, el("span.law", {}, t("forward")), el("span.formula", { html: mathematics.forward })) : null,
    mathematics.backward.length ? el("p", {}, el("span.law", {}, t("backward")), el("span.formula", { html: mathematics.backward.slice(0, Math.max(1, node.inputs.length)).join(" &ensp; ") })) : null,
    about ? el("p.about", {}, about) : null);
  const pickValue = (of, symbol) => (i) => pickCell({ kind: "v", id: of, i, title: `${t("value")} ${symbol}` });
  // The operands, each with what this op adds to its gradient under it.
  const operands = node.inputs.map((input, k) => {
    const symbol = names_[k] || `x${k}`, has = N[input].terms.some(({ from }) => from === id);
    return el("div.pair", {},
      nodeHeat(input, "v", { title: `${symbol}`, note: t("of_node", { id: nick(input) }), pick: (i) => pickCell({ kind: "v", id: input, i, title: nick(input) }), key: "v" + input, wide: 300 }),
      has ? nodeHeat(input, "t", { from: id, title: `d${symbol} +=`, note: t("adds_to", { id: nick(input) }), pick: (i) => pickCell({ kind: "b", id, k, i, title: `d${symbol}` }), wide: 300 }) : el("p.missing", {}, t("needs_none")),
      el("p", {}, nodeLink(input)));
  });
  const result = el("div.pair", {},
    nodeHeat(id, "v", { title: output, note: t("output"), pick: pickValue(id, output), wide: 300 }),
    node.gnorm === null ? el("p.missing", {}, t("no_gradient")) : backward() && !reached(id) ? el("p.missing", {}, t("gradient_waits")) : nodeHeat(id, "g", { title: `d${output}`, note: t("incoming"), pick: (i) => pickCell({ kind: "g", id, i, title: `d${output}` }), wide: 300 }),
    el("p", {}, t("read_by"), " ", node.terms.length ? node.terms.map(({ from }) => [nodeLink(from), " "]).flat() : "–"));
  return [
    bug ? bugBanner(bug) : null,
    el(`section.card${blamed ? ".red" : poisoned ? ".poison" : ""}`, { id: "card", "data-node": id, "data-red": blamed ? "yes" : "no" }, title, head, laws,
      el("div.flowgrid", {}, node.inputs.length ? el("div.side", {}, el("h3", {}, t("operands")), el("div.operands", {}, operands)) : null, el("div.side", {}, el("h3", {}, t("result")), result)),
      cellPanel(), fanOut(id), verdictPanel(id)),
    tapeTable(),
  ];
}

/** The parts of a gradient that has several, added one after the other. */
function fanOut(id) {
  const terms = N[id].terms;
  if (terms.length < 2) return null;
  const now = backward() ? state.time - FORWARD : Infinity;
  const done = terms.filter(({ from }) => sweepAt.get(from) <= now).length;
  const upto = state.showTerm ?? done, parts = terms.map(({ from }) => term(id, from));
  const rows = terms.map(({ from, norm }, k) => el("tr", { class: k < upto ? null : "waits" },
    el("td", {}, `${k + 1}`), el("td", {}, nodeLink(from)), el("td.mono", {}, whichPath(id, from)), el("td.number", {}, num(norm)),
    el("td.number", {}, parts[k] ? num(length(range(parts[0].length).map((i) => sum(parts.slice(0, k + 1).map((p) => p[i]))))) : "–"),
    el("td", {}, sweepAt.get(from) <= now ? t("added") : t("waits"))));
  let maps = null;
  if (parts.every(Boolean)) {
    const partial = Float64Array.from(parts[0], (_, i) => sum(parts.slice(0, upto).map((p) => p[i])));
    maps = el("div.operands", {}, terms.map(({ from }, k) => nodeHeat(id, "t", { from, title: `${k + 1}. ${whichPath(id, from)}`, note: nick(from), wide: 220, rows: 16 })),
      nodeHeat(id, "g", { data: partial, key: `partial${id}`, title: t("running_sum", { k: upto, n: terms.length }), wide: 220, rows: 16 }));
  }
  return el("section", { id: "fanout" }, el("h3", {}, t("fan_out")), el("p.about", {}, t("fan_out_about", { n: terms.length })),
    el("table", {}, el("thead", {}, el("tr", {}, ["", t("reader"), t("way"), "‖·‖", t("sum_so_far"), ""].map((x) => el("th", {}, x)))), el("tbody", {}, rows)),
    el("p", {}, buttons("term", t("show_sum"), range(terms.length + 1).map((k) => [k, k]), upto, (k) => { state.showTerm = k; render(); })), maps);
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

const verdictBadge = (node) => (node.verdict ? el(node.verdict.ok ? "span.badge.right" : "span.badge.wrong", {}, node.verdict.ok ? "✓ " : "✗ ", t(node.verdict.ok ? "verdict_ok" : "verdict_bad")) : el("span.badge", {}, t("not_checked")));

/** What finite differences say of a node. */
function verdictPanel(id) {
  const { verdict, inputs } = N[id];
  if (!verdict) return el("section", {}, el("h3", {}, t("verdict")), el("p.about", {}, t("not_checked_about")));
  const place = (of, at) => { const { layer, r, c } = cellOf(of, at); return `[${matrix(of).layers > 1 ? layer + ", " : ""}${names(of, 0)?.[r] ?? r}, ${names(of, 1)?.[c] ?? c}]`; };
  const row = (of, cell) => el("tr", {}, el("td", {}, place(of, cell.at)), el("td.number", {}, num(cell.analytic, 8)), el("td.number", {}, num(cell.numeric, 8)), el("td.number", {}, num(cell.error, 2)), el("td.number", {}, num(cell.noise, 2)), el("td", {}, tick(cell.ok)));
  const head = el("thead", {}, el("tr", {}, [t("cell"), t("analytic"), t("numeric"), t("error"), t("noise"), ""].map((x) => el("th", {}, x))));
  const table = (rows) => el("div.scroll", {}, el("table", {}, head.cloneNode(true), el("tbody", {}, rows)));
  const bug = state.bug === null ? null : R.bugs[state.bug], { wrong } = bug?.culprit === id ? bug : {};
  if (wrong) {
    const of = wrong.kind === "rule" ? wrong.input : id, off = Math.abs(wrong.wrong - (wrong.numeric ?? wrong.right));
    return el("section", { id: "verdict" }, el("h3", {}, t("verdict")), el("p.about", {}, t(wrong.kind === "value" ? "kind_value" : "verdict_about")),
      el("table", {}, el("thead", {}, el("tr", {}, [t("cell"), t("with_bug"), wrong.kind === "value" ? t("without_bug") : t("numeric"), t("difference_of"), ""].map((x) => el("th", {}, x)))),
        el("tbody", {}, el("tr", {}, el("td", {}, place(of, wrong.at)), el("td.number", {}, num(wrong.wrong, 8)), el("td.number", {}, num(wrong.numeric ?? wrong.right, 8)), el("td.number", {}, num(off, 3)), el("td", {}, tick(false))))));
  }
  return el("section", { id: "verdict" }, el("h3", {}, t("verdict")), el("p.about", {}, t("verdict_about")),
    el("h4", {}, t("to_the_loss")), table(verdict.loss.map((cell) => row(id, cell))),
    verdict.rules.length ? [el("h4", {}, t("own_rule")), table(verdict.rules.flatMap((r) => r.cells.map((cell) => { const tr = row(r.input, cell); tr.firstChild.prepend(`d${symbols(id).inputs[inputs.indexOf(r.input)] || "x"} `); return tr; })))] : null,
    verdict.curve.length ? [el("h4", {}, t("curve")), el("p.about", {}, t("curve_about")), curve(verdict)] : null);
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
