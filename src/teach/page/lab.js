// The attention lab: one head of one attention, forward and backward, aligned.

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
    const kept = range(cols).filter((c) => keep(0, r, c));
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
  return { S, A, dS, entropy: sum(real) / Math.max(1, real.length), size: length(dS), largest: sum(range(rows).map((r) => Math.max(...A.subarray(r * cols, (r + 1) * cols)))) / rows };
}

function labView() {
  if (!R.blocks.length) return panel(t("tab_lab"), t("no_attention"));
  const block = R.blocks[state.block], heads = N[block.weights].shape[1];
  state.head = Math.min(state.head, heads - 1);
  const h = state.head, at = (data, id) => headOf(data, id, h), keep = softmaxKeep(block.weights);
  const factor = scales(block)[state.scale], own = Math.abs(factor - N[block.scores].set.factor) < 1e-12, other = own ? null : rescaled(block, h, factor);
  const A = at(value(block.weights), block.weights), dA = at(grad(block.weights), block.weights), { rows, cols } = A;
  const dS = other ? { at: (r, c) => other.dS[r * cols + c] } : at(grad(block.scores), block.scores);
  const a = other ? (r, c) => other.A[r * cols + c] : A.at;
  const inner = range(rows).map((r) => sum(range(cols).map((c) => a(r, c) * dA.at(r, c))));
  const rowSums = range(rows).map((r) => sum(range(cols).map((c) => dS.at(r, c))));
  const hatch = keep ? (r, c) => !keep(h, r, c) : null, quiz = state.quiz;
  const rn = names(block.weights, 0), cn = names(block.weights, 1);
  const drop = block.dropped !== block.weights ? N[block.dropped].set : null, dropped = Boolean(drop);
  const note = other ? t("recomputed_here") : null;
  const square = (key, title, f, extra = {}) => heat({ key, title, rows, cols, at: f, rowNames: rn, colNames: cn, hatch, wide: 165, type: other ? "f64" : storedAs(block.weights, false), ...extra });
  const nodeMap = (id, kind, title, cell) => nodeHeat(id, kind, { title, layer: h, wide: 96, roof: true, pick: cell && ((i) => pickCell(cell(i))), key: `${kind}${id}` });
  const start = h * rows * cols;
  const in_ = { A: dropped ? "Ã" : "A", B: "V", C: "O" }, score = { A: "Q", B: "K", C: "S" };
  const pickFrom = (make) => (own ? (r, c) => pickCell(make(start + r * cols + c)) : null);
  const v = (id, title) => nodeMap(id, "v", title, (i) => ({ kind: "v", id, i, title }));
  // dQ, dK, dV and dA come out of the rules of the products; dS out of softmax's.
  const g = (id, from, k, title) => nodeMap(id, "g", title, (i) => ({ kind: "b", id: from, k, i, title, symbols: from === block.context ? in_ : score }));
  const hidden = quiz ? (r, c) => (r === quiz.r && c === quiz.c ? null : dS.at(r, c)) : dS.at;
  const column = (top, bottom) => el("div.column", {}, top, bottom);
  const blank = (text) => el("p.missing", {}, text);
  const grid = el("div.lab-grid", {},
    column(v(block.q, "Q"), g(block.q, block.products, 0, "dQ = dS·K/√d")),
    column(v(block.k, "K"), g(block.k, block.products, 1, "dK = dSᵀ·Q/√d")),
    column(square(`v${block.scores}`, "S = QKᵀ/√d", other ? (r, c) => other.S[r * cols + c] : at(value(block.scores), block.scores).at, { note, pick: pickFrom((i) => ({ kind: "v", id: block.scores, i, title: "S" })) }),
      square(`g${block.scores}`, "dS", hidden, { note, sums: (r) => rowSums[r], pick: quiz ? null : pickFrom((i) => ({ kind: "b", id: block.weights, k: 0, i, title: "dS" })) })),
    column(keep ? heat({ key: "mask", title: t("mask"), note: t("mask_note"), rows, cols, at: (r, c) => (keep(h, r, c) ? 0 : null), rowNames: rn, colNames: cn, hatch, wide: 165 }) : blank(t("no_mask")),
      blank(t("mask_backward"))),
    column(square(`v${block.weights}`, "A = softmax(S)", a, { note, pick: pickFrom((i) => ({ kind: "v", id: block.weights, i, title: "A" })) }),
      square(`g${block.weights}`, drop ? "dA = m∘dÃ/(1−p)" : "dA = dO·Vᵀ", dA.at, { pick: drop ? (r, c) => pickCell({ kind: "b", id: block.dropped, k: 0, i: start + r * cols + c, title: "dA" }) : (r, c) => pickCell({ kind: "b", id: block.context, k: 0, i: start + r * cols + c, title: "dA", symbols: in_ }) })),
    drop ? column(heat({ key: "drop", title: t("dropout_mask"), note: `p = ${num(drop.p)}`, rows, cols, at: (r, c) => (drop.kept[start + r * cols + c] === "1" ? 0 : -1), rowNames: rn, colNames: cn, hatch, wide: 165 }),
      square(`g${block.dropped}`, "dÃ = dO·Vᵀ", at(grad(block.dropped), block.dropped).at, { pick: (r, c) => pickCell({ kind: "b", id: block.context, k: 0, i: start + r * cols + c, title: "dÃ", symbols: in_ }) })) : null,
    column(v(block.v, "V"), g(block.v, block.context, 1, drop ? "dV = Ãᵀ·dO" : "dV = Aᵀ·dO")),
    column(v(block.context, drop ? "O = Ã·V" : "O = A·V"), nodeMap(block.context, "g", "dO", (i) => ({ kind: "g", id: block.context, i, title: "dO" }))));
  const first = (r, c) => a(r, c) * dA.at(r, c), second = (r, c) => -a(r, c) * inner[r];
  const worst = Math.max(...rowSums.map(Math.abs)), masked = hatch ? range(rows * cols).filter((i) => hatch(Math.floor(i / cols), i % cols)) : [];
  const zeros = masked.every((i) => a(Math.floor(i / cols), i % cols) === 0 && dS.at(Math.floor(i / cols), i % cols) === 0);
  const most = largest(range(rows * cols).map((i) => dS.at(Math.floor(i / cols), i % cols)));
  return [
    el("section.panel", { id: "lab" }, el("h2", {}, t("tab_lab")), el("p.about", {}, t("lab_about")),
      el("div.controls", {}, choice("block", t("attention_of"), R.blocks.map((b, k) => [k, blockName(b)]), state.block, (k) => { state.block = Number(k); state.cell = null; state.quiz = null; render(); }),
        buttons("head", t("head"), range(heads).map((k) => [k, k]), h, (k) => { state.head = k; state.cell = null; state.quiz = null; render(); }),
        buttons("scale", t("scale"), [["head", `1/√d = ${num(scales(block).head, 3)}`], ["model", `1/√D = ${num(scales(block).model, 3)}`], ["none", "1"]], state.scale, (s) => { state.scale = s; state.cell = null; render(); })),
      own ? null : el("p.warning", { role: "status" }, t("scale_warning")), grid, cellPanel()),
    panel(t("two_terms"), t("two_terms_about"), el("div.operands", {},
      square("term1", "A∘dA", first, { note: t("term_first") }), el("span.big", {}, "−"), square("term2", "A∘rowsum(A∘dA)", (r, c) => -second(r, c), { note: t("term_second") }), el("span.big", {}, "="),
      square("dS-again", "dS", hidden, { sums: (r) => rowSums[r] })),
      el("p", { id: "invariant", "data-worst": worst }, tick(worst <= 1e-6 * Math.max(most, 1e-12)), " ", t("rows_sum_zero", { x: num(worst, 2), y: num(most, 3) })),
      masked.length ? el("p", { id: "zeros" }, tick(zeros), " ", t("masked_zero", { n: masked.length })) : null),
    scalePanel(block, h), quizPanel(block, h, dS, a, dA, inner, keep),
  ];
}

/** What the scale does: how sure the weights are, and how large a gradient is left. */
function scalePanel(block, h) {
  const rows = Object.entries(scales(block)).map(([name, factor]) => {
    const { entropy, size, largest } = rescaled(block, h, factor);
    return { name, factor, entropy, size, largest };
  });
  const most = Math.max(...rows.map((x) => x.size), 1e-300);
  const bar = (share, fill) => el("span.meter", {}, el("span.fill", { style: `width:${Math.max(0, Math.min(100, 100 * share))}%;background:${fill}` }));
  return panel(t("saturation"), t("saturation_about"), el("div.scroll", {}, el("table", { id: "saturation" }, el("thead", {}, el("tr", {}, [t("scale"), t("entropy"), t("largest_weight"), "‖dS‖"].map((x) => el("th", {}, x)))),
    el("tbody", {}, rows.map((x) => el("tr", { class: x.name === state.scale ? "here" : null }, el("td", {}, `${{ head: "1/√d", model: "1/√D", none: "1" }[x.name]} = ${num(x.factor, 3)}`),
      el("td", {}, bar(x.entropy, "#5aae61"), num(x.entropy, 3)), el("td", {}, bar(x.largest, "#92c5de"), num(x.largest, 3)), el("td", {}, bar(x.size / most, "#d6604d"), num(x.size, 3))))))));
}
