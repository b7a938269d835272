// The attention lab: one head of one attention, forward and backward, every gradient under its value.

/** One head's matrix out of a `[B, H, rows, cols]` node: `{ rows, cols, at }`. */
function headOf(data, id, head) {
  const [rows, cols] = N[id].shape.slice(-2), start = head * rows * cols;
  return { rows, cols, data: data.subarray(start, start + rows * cols), at: (r, c) => data[start + r * cols + c] };
}

/** The name of a block of attention: `encoder.layers.0.self_attn`. */
const blockName = (block) => N[block.weights].path || `#${block.weights}`;
const scales = (block) => ({ head: 1 / Math.sqrt(N[block.q].shape.at(-1)), model: 1 / Math.sqrt(N[block.q].shape.at(-1) * N[block.q].shape[1]), none: 1 });

/** Attention of one head computed again with another scale, under the same gradient of its output. */
function rescaled(block, head, factor) {
  const products = headOf(value(block.products), block.products, head), { rows, cols } = products;
  const keep = softmaxKeep(block.weights) || (() => true), dA = headOf(grad(block.weights), block.weights, head);
  const S = products.data.map((x) => x * factor), A = new Float64Array(rows * cols), dS = new Float64Array(rows * cols), entropy = [];
  for (let r = 0; r < rows; r++) {
    const kept = range(cols).filter((c) => keep(head, r, c));
    const top = Math.max(...kept.map((c) => S[r * cols + c])), total = sum(kept.map((c) => Math.exp(S[r * cols + c] - top)));
    let h = 0, inner = 0;
    for (const c of kept) {
      const a = Math.exp(S[r * cols + c] - top) / total;
      A[r * cols + c] = a; h -= a > 0 ? a * Math.log(a) : 0; inner += a * dA.at(r, c);
    }
    for (const c of kept) dS[r * cols + c] = A[r * cols + c] * (dA.at(r, c) - inner);
    // A row of one key has nothing to choose from.
    entropy.push(kept.length > 1 ? h / Math.log(kept.length) : null);
  }
  const real = entropy.filter((h) => h !== null);
  return { S, A, dS, factor, entropy: sum(real) / Math.max(1, real.length), size: length(dS), largest: sum(range(rows).map((r) => Math.max(...A.subarray(r * cols, (r + 1) * cols)))) / rows };
}

/** The block and the head that the lab shows, with all their maps. `null` where some of them are not known. */
function labNow() {
  const block = R.blocks[state.block], heads = N[block.weights].shape[1], h = Math.min(state.head, heads - 1);
  const data = { A: value(block.weights), At: value(block.dropped), dA: grad(block.weights), dAt: grad(block.dropped), P: value(block.products), dP: grad(block.products), S: value(block.scores), dS: grad(block.scores) };
  if (!Object.values(data).every(Boolean)) return { block, heads, h, known: false };
  const of = { A: "weights", At: "dropped", P: "products", S: "scores" };
  const maps = Object.fromEntries(Object.entries(data).map(([name, data]) => [name, headOf(data, block[of[name.replace("d", "")]], h)]));
  // Another scale is another function: a planted bug is looked at under the model's own.
  const factor = scales(block)[state.scale], own = replayed() !== null || Math.abs(factor - N[block.scores].set.factor) < 1e-12;
  return { block, heads, h, known: true, ...maps, own, other: own ? null : rescaled(block, h, factor), keep: softmaxKeep(block.weights) };
}

// Cells of maps that the lab alone computes.
Object.assign(DERIVED, {
  term1: (id, i) => labTerm(id, i, (a, da) => ({ name: "A∘dA", found: { lines: [times(a, da)] }, shown: a.x * da.x })),
  term2: (id, i) => labTerm(id, i, (a, da, rowsum, terms) => ({ name: "A∘rowsum", found: { lines: [...terms, line([t("step_of_above")], rowsum, "rowsum(A∘dA)"), line([a, "·", known("rowsum(A∘dA)", rowsum)], a.x * rowsum)], result: a.x * rowsum }, shown: a.x * rowsum })),
  scaledS: (id, i) => scaledCell(id, i, ({ other, block, p }) => ({ name: "S", shown: other.S[p], found: { lines: [times(known("k", other.factor), ofNode("v" + block.products, "P", id, i, value(block.products)[i]))] } })),
  scaledA: (id, i) => scaledCell(id, i, ({ other, kept, r, c, cols }) => ({ name: "A", shown: other.A[r * cols + c], found: softmaxCell(kept, c, (j) => entry("scaledS", "S", r, j, other.S[r * cols + j])) })),
  scaleddS: (id, i) => scaledCell(id, i, ({ other, block, h, r, c, cols }) => ({ name: "dS", shown: other.dS[r * cols + c], found: softmaxGradientCell(cols, c, (j) => entry("scaledA", "A", r, j, other.A[r * cols + j]), (j) => ofNode("g" + block.weights, "dA", id, (h * N[id].shape.at(-2) + r) * cols + j, grad(block.weights)[(h * N[id].shape.at(-2) + r) * cols + j])) })),
});
function labTerm(id, i, make) {
  const { c } = cellOf(id, i), cols = matrix(id).cols, other = labNow().other, start = i - c, { r } = cellOf(id, i);
  const A = (j) => (other ? entry("scaledA", "A", r, j, other.A[r * cols + j]) : valueAt(id, start + j, "A")), dA = (j) => gradAt(id, start + j, "A");
  const terms = range(cols).map((j) => times(A(j), dA(j)));
  const made = make(A(c), dA(c), sum(terms.map((x) => x.value)), terms);
  return { ...made, key: made.name === "A∘dA" ? "term1" : "term2" };
}
function scaledCell(id, i, make) {
  const lab = labNow(), { r, c } = cellOf(id, i), cols = matrix(id).cols;
  if (!lab.other) return null;
  const made = make({ ...lab, r, c, cols, p: r * cols + c, kept: range(cols).filter((j) => !lab.keep || lab.keep(lab.h, r, j)) });
  return { ...made, key: "scaled" + made.name };
}

function labView() {
  if (!R.blocks.length) return panel(t("tab_lab"), t("no_attention"));
  const lab = labNow(), { block, heads, h, keep, own, other } = lab;
  const drop = block.dropped !== block.weights ? N[block.dropped].set : null, At = drop ? "Ã" : "A";
  const controls = el("div.controls", {}, choice("block", t("attention_of"), R.blocks.map((b, k) => [k, blockName(b)]), state.block, (k) => change({ block: Number(k), cell: null, quiz: null })),
    headButtons("head", heads, h, (k) => change({ head: k, cell: null, quiz: null })),
    replayed() ? el("span.note", {}, t("scale_fixed")) : buttons("scale", t("scale"), [["head", `1/√d = ${num(scales(block).head, 3)}`], ["model", `1/√D = ${num(scales(block).model, 3)}`], ["none", "1"]], state.scale, (s) => change({ scale: s, cell: null })));
  if (!lab.known) return el("section.panel", { id: "lab" }, el("h2", {}, t("tab_lab")), controls, el("p.missing", {}, t(replayed() ? "not_replayed" : "left_out")));
  const { A, dA, dAt, S, P, dP } = lab, { rows, cols } = A, start = h * rows * cols;
  const dS = other ? { at: (r, c) => other.dS[r * cols + c] } : lab.dS, a = other ? (r, c) => other.A[r * cols + c] : A.at;
  const inner = range(rows).map((r) => sum(range(cols).map((c) => a(r, c) * dA.at(r, c))));
  const rowSums = range(rows).map((r) => sum(range(cols).map((c) => dS.at(r, c))));
  const hatch = keep ? (r, c) => !keep(h, r, c) : null, quiz = state.quiz, rn = names(block.weights, 0), cn = names(block.weights, 1);
  const note = other ? t("recomputed_here") : null;
  const square = (key, symbol, title, f, extra = {}) => heat({ key, symbol, title, rows, cols, at: f, rowNames: rn, colNames: cn, hatch, wide: 104, type: other ? "f64" : storedAs(block.weights, false), ...extra });
  const flat = (r, c) => start + r * cols + c;
  const derived = (name, id = block.weights) => (r, c) => pickCell({ kind: "d", name, id, i: flat(r, c) });
  const nodeMap = (id, kind, symbol, title, cell) => nodeHeat(id, kind, { symbol, title, layer: h, wide: 80, roof: true, pick: (i) => pickCell(cell(i)) });
  const v = (id, symbol, title = symbol) => nodeMap(id, "v", symbol, title, (i) => ({ kind: "v", id, i }));
  const vSquare = (id, symbol, title) => square("v" + id, symbol, title, headOf(value(id), id, h).at, { pick: (r, c) => pickCell({ kind: "v", id, i: flat(r, c) }), type: storedAs(id, false) });
  // dQ, dK, dV, dP and dA come out of the rules of the products; dS out of softmax's.
  const g = (id, from, k, symbol, title) => nodeMap(id, "g", symbol, title, (i) => ({ kind: "b", id: from, k, i }));
  const gSquare = (id, from, k, symbol, title, extra = {}) => square("g" + id, symbol, title, headOf(grad(id), id, h).at, { pick: (r, c) => pickCell({ kind: "b", id: from, k, i: flat(r, c) }), type: storedAs(id, true), ...extra });
  const hidden = quiz ? (r, c) => (r === quiz.r && c === quiz.c ? null : dS.at(r, c)) : dS.at;
  const column = (top, bottom) => el("div.column", {}, top, bottom || el("p.missing", {}, ""));
  const tb = N[block.products].set?.tb;
  const grid = el("div.lab-grid", {},
    column(v(block.q, "Q"), g(block.q, block.products, 0, "dQ", "dQ = dP·K")),
    column(v(block.k, "K"), g(block.k, block.products, 1, "dK", "dK = dPᵀ·Q")),
    column(vSquare(block.products, "P", tb === false ? "P = Q·K" : "P = Q·Kᵀ"), other ? el("p.missing", {}, t("scale_not_tape")) : gSquare(block.products, block.scores, 0, "dP", `dP = ${scaleName(block)}·dS`, quiz ? { at: (r, c) => (r === quiz.r && c === quiz.c ? null : dP.at(r, c)), pick: null } : {})),
    other ? column(square("scaledS", "S", `S = ${num(other.factor, 3)}·P`, (r, c) => other.S[r * cols + c], { note, pick: derived("scaledS") }), square("scaleddS", "dS", "dS = A∘(dA − rowsum(A∘dA))", hidden, { note, sums: (r) => rowSums[r], pick: quiz ? null : derived("scaleddS") }))
      : column(vSquare(block.scores, "S", `S = ${scaleName(block)}·P`), gSquare(block.scores, block.weights, 0, "dS", "dS = A∘(dA − rowsum(A∘dA))", { sums: (r) => rowSums[r], ...(quiz ? { pick: null } : {}) , at: hidden })),
    column(other ? square("scaledA", "A", "A = softmax(S)", a, { note, pick: derived("scaledA") }) : vSquare(block.weights, "A", "A = softmax(S)"),
      gSquare(block.weights, drop ? block.dropped : block.context, 0, "dA", drop ? "dA = m∘dÃ/(1−p)" : "dA = dO·Vᵀ")),
    drop ? column(dropoutMap(block.dropped, h, 104), el("p.missing", {}, t("mask_backward"))) : null,
    drop ? column(vSquare(block.dropped, "Ã", "Ã = m∘A/(1−p)"), gSquare(block.dropped, block.context, 0, "dÃ", "dÃ = dO·Vᵀ")) : null,
    column(v(block.v, "V"), g(block.v, block.context, 1, "dV", `dV = ${At}ᵀ·dO`)),
    column(v(block.context, "O", `O = ${At}·V`), nodeMap(block.context, "g", "dO", "dO", (i) => ({ kind: "g", id: block.context, i }))));
  const first = (r, c) => a(r, c) * dA.at(r, c), second = (r, c) => a(r, c) * inner[r], all = range(rows * cols).map((i) => [Math.floor(i / cols), i % cols]);
  const worst = largest(rowSums), masked = hatch ? all.filter(([r, c]) => hatch(r, c)) : [], most = largest(all.map(([r, c]) => dS.at(r, c)));
  const zeros = masked.every(([r, c]) => a(r, c) === 0 && dS.at(r, c) === 0);
  const off = largest(all.map(([r, c]) => first(r, c) - second(r, c) - dS.at(r, c))), size_ = Math.max(most, largest(all.map(([r, c]) => first(r, c))), 1e-300);
  const dropped = drop ? all.filter(([r, c]) => drop.kept[flat(r, c)] !== "1") : [], ones = range(rows).map((r) => sum(range(cols).map((c) => a(r, c)))).filter((x) => x !== 0);
  // Numbers that the page has in full are held to more than those in seven digits.
  const part = rounding([block.scores, true], [block.products, true], [block.weights, true], [block.weights, false]);
  const factor = N[block.scores].set.factor, scaleOff = other ? null : largest(all.map(([r, c]) => dP.at(r, c) - factor * dS.at(r, c))), pMost = other ? 1 : Math.max(largest(dP.data), factor * most, 1e-300);
  const keptOff = drop ? largest(all.map(([r, c]) => (drop.kept[flat(r, c)] === "1" ? dA.at(r, c) - dAt.at(r, c) / (1 - drop.p) : 0))) : 0;
  return [
    el("section.panel", { id: "lab" }, el("h2", {}, t("tab_lab")), el("p.about", {}, t("lab_about")), controls, own ? null : el("p.warning", {}, t("scale_warning")), grid),
    panel(t("two_terms"), t("two_terms_about"), el("div.operands", {},
      square("term1", "A∘dA", "A∘dA", first, { note: t("term_first"), pick: derived("term1"), type: "f64" }), el("span.big", {}, "−"), square("term2", "A∘rowsum", "A∘rowsum(A∘dA)", second, { note: t("term_second"), pick: derived("term2"), type: "f64" }), el("span.big", {}, "="),
      square("dS-again", "dS", "dS", hidden, { sums: (r) => rowSums[r], pick: quiz ? null : other ? derived("scaleddS") : (r, c) => pickCell({ kind: "b", id: block.weights, k: 0, i: flat(r, c) }) })),
      el("div", { id: "lab-statements" },
        statement("invariant", worst <= part * Math.max(most, 1e-12), t("rows_sum_zero", { x: num(worst, 2), y: num(most, 3) })),
        statement("two-terms-agree", off <= part * size_, t("terms_give_ds", { x: num(off, 2) })),
        masked.length ? statement("zeros", zeros, t("masked_zero", { n: masked.length })) : null,
        statement("rows-of-one", ones.every((x) => Math.abs(x - 1) <= part), t("rows_sum_one")),
        scaleOff === null ? null : statement("scale-agrees", scaleOff <= part * pMost, t("scale_agrees", { k: num(factor, 4), x: num(scaleOff, 2) })),
        drop ? statement("dropped-zero", dropped.every(([r, c]) => dA.at(r, c) === 0), t("dropped_zero", { n: dropped.length })) : null,
        drop ? statement("kept-scaled", keptOff <= part * Math.max(largest(dA.data), 1e-300), t("kept_scaled", { x: num(keptOff, 2) })) : null)),
    scalePanel(block, h), quizPanel(lab, dS, a, dA, inner),
  ];
}
const scaleName = (block) => (Math.abs(N[block.scores].set.factor - scales(block).head) < 1e-12 ? "1/√d" : num(N[block.scores].set.factor, 4));

/** What the scale does: how sure the weights are, and how large a gradient is left. */
function scalePanel(block, h) {
  if (replayed()) return null;
  const rows = Object.entries(scales(block)).map(([name, factor]) => ({ name, ...rescaled(block, h, factor) }));
  const most = Math.max(...rows.map((x) => x.size), 1e-300);
  const bar = (share, fill) => el("span.meter", {}, el("span.fill", { style: `width:${between(0, 100 * share, 100)}%;background:${fill}` }));
  return panel(t("saturation"), t("saturation_about"), el("div.scroll", {}, el("table", { id: "saturation" }, el("thead", {}, el("tr", {}, [t("scale"), `${t("entropy")} (0–1)`, `${t("largest_weight")} (0–1)`, `‖dS‖ (0–${num(most, 2)})`].map((x) => el("th", {}, x)))),
    el("tbody", {}, rows.map((x) => el("tr", { class: x.name === state.scale ? "here" : null }, el("td", {}, `${{ head: "1/√d", model: "1/√D", none: "1" }[x.name]} = ${num(x.factor, 3)}`),
      el("td", {}, bar(x.entropy, "#5aae61"), num(x.entropy, 3)), el("td", {}, bar(x.largest, "#92c5de"), num(x.largest, 3)), el("td", {}, bar(x.size / most, "#d6604d"), num(x.size, 3))))))));
}
