// The LayerNorm card: the gradient of its input as three terms, of which two take away projections.

function normView() {
  const nodes = range(N.length).filter((id) => N[id].op === "layer_norm" && N[id].gnorm !== null);
  if (!nodes.length) return panel(t("tab_norm"), t("no_norm"));
  const id = nodes.includes(state.norm) ? state.norm : nodes[0], node = N[id], n = node.shape.at(-1), rows = size(node.shape) / n, [input, gamma] = node.inputs;
  const of = value(input) && value(gamma) && grad(id) ? range(rows).map((r) => normRow(id, r)) : null, dx = term(input, id);
  const controls = el("div.controls", {}, choice("norm-node", t("layer_norm_of"), nodes.map((k) => [k, pathOf(k).replace(/\.layer_norm$/, "")]), id, (k) => change({ norm: Number(k), cell: null })), nodeLink(id));
  if (!of || !dx) return el("section.panel", { id: "norm" }, el("h2", {}, t("tab_norm")), controls, el("p.missing", {}, t(replayed() ? "not_replayed" : "left_out")));
  const rn = names(id, 0), sy = symbols(id).output;
  const map = (key, name, symbol, title, at, note) => heat({ key: key + id, symbol, title, note, rows, cols: n, at, rowNames: rn, wide: 320, type: "f64", pick: (r, c) => pickCell({ kind: "d", name, id, i: r * n + c }) });
  // The sums and products are those of the gradient that was added, by whatever rule.
  const at = (r) => dx.subarray(r * n, r * n + n), sums = of.map((_, r) => sum(at(r))), along = of.map((row, r) => inner_(at(r), row.hat)), left = of.map((row) => node.set.epsilon * n * row.meanGX * row.rstd ** 3);
  const part = rounding([id, true], [input, false], [gamma, false]), most = Math.max(largest(dx), largest(of.flatMap((row) => [...row.terms[0]])), 1e-300), off = largest(range(rows * n).map((i) => of[Math.floor(i / n)].dx[i % n] - dx[i]));
  const apart = largest(along.map((x, r) => x - left[r]));
  const row = Math.min(state.row ?? 0, rows - 1);
  const check = range(rows).map((r) => el("tr", { class: r === row ? "here" : null }, el("td", {}, el("button.link", { onclick: () => change({ row: r }) }, rn ? rn[r] : r)), el("td.number", {}, num(of[r].mean, 3)), el("td.number", {}, num(1 / of[r].rstd, 3)),
    el("td.number", {}, num(of[r].meanG, 3)), el("td.number", {}, num(of[r].meanGX, 3)), el("td.number", {}, num(sums[r], 2)), el("td.number", {}, num(along[r], 2)), el("td.number", {}, num(left[r], 2))));
  return [
    el("section.panel", { id: "norm" }, el("h2", {}, t("tab_norm")), el("p.about", {}, t("norm_about")), controls,
      el("p.formula", { html: rule(id).backward[0] }),
      el("div.operands", {}, nodeHeat(input, "v", { symbol: symbols(id).inputs[0], title: symbols(id).inputs[0], pick: (i) => pickCell({ kind: "v", id: input, i }) }), map("hat", "hat", "x̂", "x̂", (r, c) => of[r].hat[c]), nodeHeat(gamma, "v", { symbol: "γ", title: "γ", pick: (i) => pickCell({ kind: "v", id: gamma, i }) }),
        nodeHeat(id, "g", { symbol: "d" + sy, title: "d" + sy, pick: (i) => pickCell({ kind: "g", id, i }) }), map("gain", "gain", "g", `g = γ∘d${sy}`, (r, c) => of[r].g[c])),
      el("h3", {}, t("three_terms")), el("div.operands", {},
        map("n1", "n1", "dx①", "dx① = rstd·g", (r, c) => of[r].terms[0][c], t("term_gain")), map("n2", "n2", "dx②", "dx② = − rstd·mean(g)", (r, c) => of[r].terms[1][c], t("term_mean")), map("n3", "n3", "dx③", "dx③ = − rstd·x̂·mean(g∘x̂)", (r, c) => of[r].terms[2][c], t("term_hat")),
        nodeHeat(input, "t", { from: id, symbol: "d" + symbols(id).inputs[0], title: "dx", note: t("sum_of_three"), pick: (i) => pickCell({ kind: "b", id, k: 0, i }), wide: 320 })),
      statement("norm-agrees", off <= part * most, t("norm_agrees", { x: num(off, 2) }))),
    panel(t("invariants"), t("norm_invariants_about"),
      statement("norm-sum", largest(sums) <= part * most * Math.sqrt(n), " Σdx = 0: ", t("at_most", { x: num(largest(sums), 2) })),
      statement("norm-along", apart <= part * most * Math.sqrt(n), " ⟨dx, x̂⟩ = ε·n·mean(g∘x̂)·rstd³: ", t("at_most", { x: num(apart, 2) }), " ", t("epsilon_left")),
      el("div.scroll", {}, el("table", {}, el("thead", {}, el("tr", {}, [t("row"), "μ", "√(σ²+ε)", "mean(g)", "mean(g∘x̂)", "Σdx", "⟨dx, x̂⟩", t("by_epsilon")].map((x) => el("th", {}, x)))), el("tbody", {}, check)))),
    panel(t("projections"), t("projections_about", { row: rn ? rn[row] : row }), projections(of[row])),
  ];
}

/** How long the gradient of one row is before and after each projection. */
function projections(it) {
  const steps = [["rstd·g", it.terms[0]], [t("without_mean"), it.terms[0].map((x, j) => x + it.terms[1][j]), it.terms[1]], [t("without_hat"), it.dx, it.terms[2]]];
  const most = Math.max(...steps.map(([, xs]) => length(xs)), 1e-300);
  return el("table", {}, el("thead", {}, el("tr", {}, ["", `‖·‖ (0–${num(most, 3)})`, ""].map((x) => el("th", {}, x)))), el("tbody", {}, steps.map(([name, xs, taken]) => el("tr", {}, el("td", {}, name), el("td", {}, el("span.meter.long", {}, el("span.fill", { style: `width:${100 * length(xs) / most}%;background:#e08214` })), num(length(xs), 4)), el("td", {}, taken ? t("taken_away", { x: num(length(taken), 3) }) : "")))));
}
