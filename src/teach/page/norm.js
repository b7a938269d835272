// The LayerNorm card: the gradient of its input as three terms, of which two take away projections.

function normView() {
  const nodes = range(N.length).filter((id) => N[id].op === "layer_norm" && N[id].gnorm !== null);
  if (!nodes.length) return panel(t("tab_norm"), t("no_norm"));
  const id = nodes.includes(state.norm) ? state.norm : nodes[0], node = N[id], n = node.shape.at(-1), rows = size(node.shape) / n;
  const of = range(rows).map((r) => normRow(id, r));
  if (!of[0].x) return panel(t("tab_norm"), t("left_out"));
  const input = node.inputs[0], rn = names(id, 0), dx = term(input, id);
  const map = (key, title, at, note, pick) => heat({ key, title, note, rows, cols: n, at, rowNames: rn, wide: 320, type: "f64", pick });
  const cell = (r, c) => pickCell({ kind: "b", id, k: 0, i: r * n + c, title: "dx" });
  const sums = of.map((row) => sum(row.dx)), products = of.map((row) => sum(row.dx.map((d, j) => d * row.hat[j])));
  const most = Math.max(...of.map((row) => largest(row.dx)));
  const off = Math.max(...range(rows * n).map((i) => Math.abs(of[Math.floor(i / n)].dx[i % n] - dx[i])));
  const row = Math.min(state.row ?? 0, rows - 1), it = of[row];
  const check = range(rows).map((r) => el("tr", { class: r === row ? "here" : null, onclick: () => { state.row = r; render(); } }, el("td", {}, rn ? rn[r] : r), el("td.number", {}, num(of[r].mean, 3)), el("td.number", {}, num(1 / of[r].rstd, 3)),
    el("td.number", {}, num(of[r].meanG, 3)), el("td.number", {}, num(of[r].meanGX, 3)), el("td.number", {}, num(sums[r], 2)), el("td.number", {}, num(products[r], 2)), el("td.number", {}, num(node.set.epsilon * n * of[r].meanGX * of[r].rstd ** 3, 2))));
  return [
    el("section.panel", { id: "norm" }, el("h2", {}, t("tab_norm")), el("p.about", {}, t("norm_about")),
      el("div.controls", {}, choice("norm-node", t("layer_norm_of"), nodes.map((k) => [k, pathOf(k).replace(/\.layer_norm$/, "")]), id, (k) => { state.norm = Number(k); state.cell = null; render(); }), nodeLink(id)),
      el("p.formula", { html: rule(id).backward[0] }),
      el("div.operands", {}, nodeHeat(input, "v", { title: "x" }), map("hat", "x̂", (r, c) => of[r].hat[c]), nodeHeat(id, "g", { title: "dy" }), map("g-norm", "g = γ∘dy", (r, c) => of[r].g[c])),
      el("h3", {}, t("three_terms")), el("div.operands", {},
        map("n1", "rstd·g", (r, c) => of[r].terms[0][c], t("term_gain")), map("n2", "− rstd·mean(g)", (r, c) => of[r].terms[1][c], t("term_mean")), map("n3", "− rstd·x̂·mean(g∘x̂)", (r, c) => of[r].terms[2][c], t("term_hat")),
        nodeHeat(input, "t", { from: id, title: "dx", note: t("sum_of_three"), pick: (i, r, c) => cell(r, c), wide: 320 })),
      el("p", { id: "norm-agrees" }, tick(off <= 1e-6 * most), " ", t("norm_agrees", { x: num(off, 2) })), cellPanel()),
    panel(t("invariants"), t("norm_invariants_about"),
      el("p", { id: "norm-sum", "data-worst": largest(sums) }, tick(largest(sums) <= 1e-6 * most), " Σdx = 0: ", t("at_most", { x: num(largest(sums), 2) })),
      el("p", {}, tick(largest(products) <= 1e-3 * most * n), " ⟨dx, x̂⟩ ≈ 0: ", t("at_most", { x: num(largest(products), 2) }), " ", t("epsilon_left")),
      el("div.scroll", {}, el("table", {}, el("thead", {}, el("tr", {}, [t("row"), "μ", "√(σ²+ε)", "mean(g)", "mean(g∘x̂)", "Σdx", "⟨dx, x̂⟩", t("by_epsilon")].map((x) => el("th", {}, x)))), el("tbody", {}, check)))),
    panel(t("projections"), t("projections_about", { row: rn ? rn[row] : row }), projections(it)),
  ];
}

/** How long the gradient of one row is before and after each projection. */
function projections(it) {
  const steps = [["rstd·g", it.terms[0]], [t("without_mean"), it.terms[0].map((x, j) => x + it.terms[1][j]), it.terms[1]], [t("without_hat"), it.dx, it.terms[2]]];
  const most = length(it.terms[0]);
  return el("table", {}, el("tbody", {}, steps.map(([name, xs, taken]) => el("tr", {}, el("td", {}, name), el("td", {}, el("span.meter.long", {}, el("span.fill", { style: `width:${100 * length(xs) / Math.max(most, 1e-300)}%;background:#e08214` })), num(length(xs), 4)), el("td", {}, taken ? t("taken_away", { x: num(length(taken), 3) }) : "")))));
}
