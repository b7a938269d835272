// The arithmetic of one cell, from the cells it is made of, with their names, their numbers, and where those lie.

/** The row and column of entry `i` of a node, as its heat map shows them. */
function cellOf(id, i) {
  const { rows, cols } = matrix(id);
  return { layer: Math.floor(i / (rows * cols)), r: Math.floor(i / cols) % rows, c: i % cols };
}
const box = (key, r0, r1, c0, c1) => ({ key, r0, r1, c0, c1 });
const one = (key, id, i) => { const { r, c } = cellOf(id, i); return box(key, r, r + 1, c, c + 1); };

/** An entry of a map: its name, as `dP[6,5]`, its number, and the map it lies on. */
const entry = (key, symbol, r, c, x) => ({ name: r === null ? (c === null ? symbol : `${symbol}[${c}]`) : `${symbol}[${r},${c}]`, x, key, symbol, r: r ?? 0, c: c ?? 0 });
/** An entry of a node's map. */
function ofNode(key, symbol, id, i, x) {
  const { layers, rows, cols } = matrix(id), { layer, r, c } = cellOf(id, i);
  return { ...entry(key, symbol, rows === 1 && N[id].shape.length < 2 ? null : r, rows === 1 && cols === 1 ? null : c, x), layer: layers > 1 ? layer : undefined };
}
const valueAt = (id, i, symbol) => ofNode("v" + id, symbol, id, i, value(id)[i]);
const gradAt = (id, i, symbol) => ofNode("g" + id, "d" + symbol, id, i, grad(id)[i]);
/** A number that has a name and no map: a factor, a sum that stands in the line above. */
const known = (name, x) => ({ name, x });

/** A line of arithmetic: an expression of entries and signs, and its number. */
const line = (expression, value, name) => ({ expression, value, name });
/** A product as a line. */
const times = (...factors) => line(factors.flatMap((factor, k) => (k ? ["·", factor] : [factor])), factors.reduce((a, factor) => a * factor.x, 1));

/**
 * How entry `i` of the value of a node comes about: `{ lines, outlines, result }`, or `null` where the page does not say. Without a
 * result it is the sum of the lines. `moved` says that nothing is computed.
 */
function forwardCell(id, i) {
  const node = N[id], [a, b, c3] = node.inputs, { inputs: [sa, sb, sc] } = symbols(id);
  const A = a === undefined ? null : value(a), B = b === undefined ? null : value(b);
  const set = node.set, { layer, r, c } = cellOf(id, i);
  const cols = node.shape.at(-1) ?? 1;
  switch (node.op) {
    case "add": case "sub": {
      if (!A || !B) return null;
      const second = valueAt(b, i % B.length, sb);
      return { lines: [times(valueAt(a, i % A.length, sa)), node.op === "sub" ? line(["−", second], -second.x) : times(second)] };
    }
    case "mul": return A && B && { lines: [times(valueAt(a, i % A.length, sa), valueAt(b, i % B.length, sb))] };
    case "scale": return A && { lines: [times(known("k", set.factor), valueAt(a, i, sa))] };
    case "embedding": {
      const row = set.ids[Math.floor(i / cols)], j = row * cols + (i % cols);
      return A && { lines: [times(valueAt(a, j, sa))], note: t("note_embedding", { id: row, word: token(row) }) };
    }
    case "dropout": {
      if (!A) return null;
      const kept = set.kept[i] === "1" ? 1 : 0, m = entry("mask" + id, "m", r, c, kept), x = valueAt(a, i, sa);
      return { lines: [line([m, "·", x, "/(1 −", known("p", set.p), ")"], kept * x.x / (1 - set.p))], note: kept ? null : t("note_dropped") };
    }
    case "linear": {
      if (!A || !B) return null;
      const inner = N[a].shape.at(-1), row = Math.floor(i / cols), o = i % cols;
      const lines = range(inner).map((j) => times(valueAt(a, row * inner + j, sa), valueAt(b, o * inner + j, sb)));
      if (c3 !== undefined) lines.push(times(valueAt(c3, o, sc)));
      return { lines };
    }
    case "matmul": {
      if (!A || !B || set.ta) return null;
      const inner = N[a].shape.at(-1), rows = node.shape.at(-2);
      const right = (j) => (set.tb ? (layer * cols + c) * inner + j : (layer * inner + j) * cols + c) % B.length;
      return { lines: range(inner).map((j) => times(valueAt(a, (layer * rows + r) * inner + j, sa), valueAt(b, right(j), sb))) };
    }
    case "softmax": case "masked_softmax": {
      const keep = softmaxKeep(id) || (node.set?.keep ? (_, r, c) => keepOf(set, node.shape)((layer * matrix(id).rows + r) * cols + c) : null);
      return A && softmaxCell(range(cols).filter((j) => !keep || keep(layer, r, j)), c, (j) => valueAt(a, i - c + j, sa));
    }
    case "layer_norm": {
      const row = normRow(id, Math.floor(i / cols));
      if (!row.x) return null;
      const { mean, variance, rstd, hat, gamma, beta } = row, x = (j) => valueAt(a, i - c + j, sa);
      return {
        lines: [line([`Σ ${sa}[${r},j] / ${cols}`], mean, "μ"), line([`Σ (${sa}[${r},j] − μ)² / ${cols}`], variance, "σ²"), line(["1/√(", known("σ²", variance), "+", known("ε", set.epsilon), ")"], rstd, "rstd"),
          line(["(", x(c), "−", known("μ", mean), ") ·", known("rstd", rstd)], hat[c], entry("hat" + id, "x̂", r, c, hat[c])),
          line([valueAt(b, c, sb), "·", entry("hat" + id, "x̂", r, c, hat[c]), "+", valueAt(c3, c, sc)], gamma[c] * hat[c] + beta[c])],
        result: gamma[c] * hat[c] + beta[c], outlines: [box("v" + a, r, r + 1, 0, cols)],
      };
    }
    case "relu": return A && { lines: [line(["max(", valueAt(a, i, sa), ", 0)"], Math.max(A[i], 0))] };
    case "silu": return A && { lines: [line([valueAt(a, i, sa), "· σ(", valueAt(a, i, sa), ")"], A[i] / (1 + Math.exp(-A[i])))] };
    case "gelu": {
      if (!A) return null;
      const x = valueAt(a, i, sa), u = Math.sqrt(2 / Math.PI) * (A[i] + 0.044715 * A[i] ** 3), y = 0.5 * A[i] * (1 + Math.tanh(u));
      return { lines: [line(["√(2/π) · (", x, "+ 0.044715 ·", x, "³)"], u, "u"), line(["½ ·", x, "· (1 + tanh", known("u", u), ")"], y)], result: y };
    }
    case "cross_entropy": {
      if (!A) return null;
      const losses = rowLosses(id);
      return { lines: range(losses.length).filter((row) => set.targets[row] !== set.ignore).map((row) => times(known("w", set.weight), entry("loss" + id, "ℓ", null, row, losses[row]))) };
    }
    case "reshape": return A && { lines: [times(valueAt(a, i, sa))], moved: true, note: t("note_moved") };
    case "permute": return A && { lines: [times(valueAt(a, sourceOf(i, N[a].shape, set.order), sa))], moved: true, note: t("note_moved") };
    default: return null;
  }
}

/** One cell of a softmax: `kept` are the columns that the mask keeps, `x(j)` is the score of column `j`. */
function softmaxCell(kept, c, x) {
  const scores = kept.map(x);
  if (!kept.includes(c)) return { lines: [line([t("masked")], 0)], result: 0, outlines: [], note: t("note_masked") };
  const top = Math.max(...scores.map((s) => s.x)), parts = scores.map((s) => Math.exp(s.x - top)), total = sum(parts), mine = parts[kept.indexOf(c)];
  return {
    lines: [line([t("step_largest")], top, "max"), ...scores.map((s, k) => line(["e^(", s, "−", known("max", top), ")"], parts[k])),
      line([t("step_total")], total, "Σ"), line([known(t("step_numerator"), mine), "/", known("Σ", total)], mine / total)],
    result: mine / total,
  };
}

/** One cell of what softmax adds to its input's gradient. */
function softmaxGradientCell(cols, c, y, dy) {
  const terms = range(cols).map((j) => times(y(j), dy(j))), rowsum = sum(terms.map((term) => term.value)), [A, dA] = [y(c), dy(c)], name = `rowsum(${A.symbol}∘${dA.symbol})`;
  return {
    lines: [...terms, line([t("step_of_above")], rowsum, name), line([A, "· (", dA, "−", known(name, rowsum), ")"], A.x * (dA.x - rowsum))],
    result: A.x * (dA.x - rowsum),
  };
}

/** `ln Σ e^x` and the mean of a row. */
function lseRow(x, row, v) {
  let top = -Infinity, total = 0, mean = 0;
  for (let j = 0; j < v; j++) top = Math.max(top, x[row * v + j]);
  for (let j = 0; j < v; j++) { total += Math.exp(x[row * v + j] - top); mean += x[row * v + j] / v; }
  return { lse: top + Math.log(total), mean };
}

/** The loss of each row of a cross-entropy, zero for padding; and the probabilities that it is of. */
function rowLosses(id) {
  const { set, inputs: [a] } = N[id], x = value(a), v = N[a].shape.at(-1);
  return set.targets.map((target, row) => (target === set.ignore ? 0 : rowLoss(x, row, v, target, set.smoothing)));
}
function probabilities(id) { const [a] = N[id].inputs, x = value(a); return x && softmaxRows(x, N[a].shape.at(-1), null); }

/** All that layer normalisation computes of one row, forward and backward by the right rule. */
function normRow(id, row) {
  const node = N[id], n = node.shape.at(-1);
  const [X, gamma, beta] = node.inputs.map(value);
  if (!X || !gamma) return {};
  const x = X.slice(row * n, row * n + n), { mean, variance, rstd, hat } = moments(x, node.set.epsilon), DY = grad(id);
  if (!DY) return { x, gamma, beta, mean, variance, rstd, hat };
  const dy = DY.slice(row * n, row * n + n), g = dy.map((dy, j) => gamma[j] * dy);
  const meanG = sum(g) / n, meanGX = inner_(g, hat) / n;
  const terms = [g.map((g) => rstd * g), g.map(() => -rstd * meanG), hat.map((h) => -rstd * h * meanGX)];
  return { x, gamma, beta, mean, variance, rstd, hat, dy, g, meanG, meanGX, terms, dx: terms[0].map((a, j) => a + terms[1][j] + terms[2][j]) };
}

/** How entry `i` of what node `id` adds to the gradient of its input `k` comes about, by the right rule. */
function backwardCell(id, k, i) {
  const node = N[id], input = node.inputs[k], set = node.set, dy = grad(id), { inputs: names_, output: sy } = symbols(id);
  if (!dy || node.inputs.indexOf(input) !== node.inputs.lastIndexOf(input)) return null;
  const A = value(node.inputs[0]), B = node.inputs[1] === undefined ? null : value(node.inputs[1]), [a, b] = node.inputs, [sa, sb] = names_;
  const { layer, r, c } = cellOf(input, i), cols = N[input].shape.at(-1) ?? 1;
  const out = node.shape.at(-1) ?? 1, D = (j) => gradAt(id, j, sy);
  switch (node.op) {
    case "add": case "sub": {
      const len = size(N[input].shape), minus = node.op === "sub" && k === 1;
      return { lines: range(dy.length / len).map((m) => { const d = D(m * len + i); return minus ? line(["−", d], -d.x) : times(d); }) };
    }
    case "mul": { const other = k === 0 ? B : A, to = node.inputs[1 - k]; return other && other.length === dy.length && { lines: [times(D(i), valueAt(to, i, names_[1 - k]))] }; }
    case "scale": return { lines: [times(known("k", set.factor), D(i))] };
    case "embedding": {
      const word = Math.floor(i / cols), rows = range(set.ids.length).filter((row) => set.ids[row] === word);
      return { lines: rows.map((row) => times(D(row * cols + c))), note: t("note_rows", { n: rows.length, word: token(word) }) };
    }
    case "dropout": {
      const kept = set.kept[i] === "1" ? 1 : 0, d = D(i), m = entry("mask" + id, "m", r, c, kept);
      return { lines: [line([m, "·", d, "/(1 −", known("p", set.p), ")"], kept * d.x / (1 - set.p))], note: kept ? null : t("note_dropped") };
    }
    case "linear": {
      const rows = dy.length / out;
      if (k === 0) { const row = Math.floor(i / cols); return B && { lines: range(out).map((o) => times(D(row * out + o), valueAt(b, o * cols + c, sb))) }; }
      if (k === 1) return A && { lines: range(rows).map((row) => times(D(row * out + r), valueAt(a, row * cols + c, sa))) };
      return { lines: range(rows).map((row) => times(D(row * out + c))) };
    }
    case "matmul": {
      if (!A || !B || set.ta || N[b].shape.length !== N[a].shape.length) return null;
      const m = node.shape.at(-2), inner = N[a].shape.at(-1), at = (row, col) => D((layer * m + row) * out + col);
      if (k === 0) return { lines: range(out).map((o) => times(at(r, o), valueAt(b, set.tb ? (layer * out + o) * inner + c : (layer * inner + c) * out + o, sb))) };
      const [o, j] = set.tb ? [r, c] : [c, r];
      return { lines: range(m).map((row) => times(at(row, o), valueAt(a, (layer * m + row) * inner + j, sa))) };
    }
    case "softmax": case "masked_softmax": return softmaxGradientCell(cols, c, (j) => valueAt(id, i - c + j, sy), (j) => D(i - c + j));
    case "layer_norm": {
      const n = node.shape.at(-1), rows = dy.length / n;
      const at = (row, of) => entry("hat" + id, "x̂", row, c, of.hat[c]);
      if (k === 0) {
        const row = normRow(id, Math.floor(i / n)), { terms, meanG, meanGX, rstd, g, hat, dx, gamma } = row;
        if (!g) return null;
        const G = entry("gain" + id, "g", r, c, g[c]), factor = known("rstd", rstd);
        return {
          lines: [line([valueAt(b, c, sb), "·", D(i)], gamma[c] * row.dy[c], G), line([`Σ g[${r},j] / ${n}`], meanG, "mean(g)"), line([`Σ g[${r},j]·x̂[${r},j] / ${n}`], meanGX, "mean(g∘x̂)"),
            line([factor, "·", G], terms[0][c]), line(["−", factor, "·", known("mean(g)", meanG)], terms[1][c]),
            line(["−", factor, "·", at(r, row), "·", known("mean(g∘x̂)", meanGX)], terms[2][c]), line([t("step_sum")], dx[c])],
          result: dx[c], outlines: [box("v" + input, r, r + 1, 0, n), box("g" + id, r, r + 1, 0, n)],
        };
      }
      return { lines: range(rows).map((row) => (k === 1 ? times(D(row * n + c), at(row, normRow(id, row))) : times(D(row * n + c)))) };
    }
    case "relu": { const x = valueAt(input, i, sa), d = D(i); return { lines: [line(["[", x, "> 0] ·", d], A[i] > 0 ? d.x : 0)] }; }
    case "silu": { const x = valueAt(input, i, sa), d = D(i); return { lines: [line(["silu′(", x, ") ·", d], siluSlope(A[i]) * d.x)] }; }
    case "gelu": { const x = valueAt(input, i, sa), d = D(i); return { lines: [line(["gelu′(", x, ") ·", d], geluSlope(A[i], 0.044715, 0.044715) * d.x)] }; }
    case "cross_entropy": {
      const v = cols, row = Math.floor(i / v), target = set.targets[row];
      if (!A) return null;
      if (target === set.ignore) return { lines: [line([t("padding_ignored")], 0)], result: 0 };
      const { lse } = lseRow(A, row, v), p = Math.exp(A[i] - lse), hot = c === target ? 1 : 0, P = entry("softmax" + id, "p", r, c, p), d = D(0);
      const result = set.weight * d.x * (p - (1 - set.smoothing) * hot - set.smoothing / v);
      return {
        lines: [line(["e^(", valueAt(input, i, sa), "−", known("lse", lse), ")"], p, P), line(["(1 −", known("ε", set.smoothing), ") ·", known("onehot", hot)], (1 - set.smoothing) * hot, t("step_wanted")), line([known("ε", set.smoothing), "/", known("V", v)], set.smoothing / v, "ε/V"),
          line([known("w", set.weight), "·", d, "· (", P, "−", known(t("step_wanted"), (1 - set.smoothing) * hot), "−", known("ε/V", set.smoothing / v), ")"], result)],
        result,
      };
    }
    case "reshape": return { lines: [times(D(i))], moved: true, note: t("note_moved") };
    case "permute": return { lines: [times(D(sourceOf(i, node.shape, inverse(set.order))))], moved: true, note: t("note_moved") };
    default: return null;
  }
}

/** The gradient of a node in one cell: the sum of what its readers add, which the maps of the fan-out show. */
function gradientCell(id, i) {
  const { terms } = N[id], d = "d" + symbols(id).output;
  if (id === R.root) return { lines: [line([t("note_root")], 1)], moved: true };
  const parts = terms.map(({ from }, k) => { const x = term(id, from); return x && times(ofNode(`t${id}.${from}`, terms.length === 1 ? `${d}₁` : d + subscript(k + 1), id, i, x[i])); });
  if (parts.some((part) => !part)) return null;
  return { lines: parts, moved: terms.length === 1, note: terms.length === 1 ? [t("note_one_reader"), " ", nodeLink(terms[0].from)] : null };
}
const subscript = (k) => String(k).replace(/\d/g, (c) => "₀₁₂₃₄₅₆₇₈₉"[c]);

/** What a view adds to the maps of nodes, cell by cell: maps that only this page computes. Views put theirs here. */
const DERIVED = {
  /** x̂ of a LayerNorm. */
  hat: (id, i) => { const n = N[id].shape.at(-1), { r, c } = cellOf(id, i), row = normRow(id, r), x = valueAt(N[id].inputs[0], i, "x"); return { name: "x̂", key: "hat" + id, found: { lines: [line([`Σ x[${r},j] / ${n}`], row.mean, "μ"), line(["1/√(σ² + ε)"], row.rstd, "rstd"), line(["(", x, "−", known("μ", row.mean), ") ·", known("rstd", row.rstd)], row.hat[c])], result: row.hat[c] }, shown: row.hat[c] }; },
  /** g = γ∘dy of a LayerNorm. */
  gain: (id, i) => { const { r, c } = cellOf(id, i), row = normRow(id, r); return { name: "g", key: "gain" + id, found: { lines: [times(valueAt(N[id].inputs[1], c, "γ"), gradAt(id, i, symbols(id).output))] }, shown: row.g[c] }; },
  n1: (id, i) => { const { r, c } = cellOf(id, i), row = normRow(id, r); return { name: "dx①", key: "n1" + id, found: { lines: [times(known("rstd", row.rstd), entry("gain" + id, "g", r, c, row.g[c]))] }, shown: row.terms[0][c] }; },
  n2: (id, i) => { const { r, c } = cellOf(id, i), row = normRow(id, r), n = row.g.length; return { name: "dx②", key: "n2" + id, found: { lines: [line([`Σ g[${r},j] / ${n}`], row.meanG, "mean(g)"), line(["−", known("rstd", row.rstd), "·", known("mean(g)", row.meanG)], row.terms[1][c])], result: row.terms[1][c], outlines: [box("gain" + id, r, r + 1, 0, n)] }, shown: row.terms[1][c] }; },
  n3: (id, i) => { const { r, c } = cellOf(id, i), row = normRow(id, r), n = row.g.length; return { name: "dx③", key: "n3" + id, found: { lines: [line([`Σ g[${r},j]·x̂[${r},j] / ${n}`], row.meanGX, "mean(g∘x̂)"), line(["−", known("rstd", row.rstd), "·", entry("hat" + id, "x̂", r, c, row.hat[c]), "·", known("mean(g∘x̂)", row.meanGX)], row.terms[2][c])], result: row.terms[2][c], outlines: [box("gain" + id, r, r + 1, 0, n)] }, shown: row.terms[2][c] }; },
  /** The mask of a dropout. */
  mask: (id, i) => { const kept = N[id].set.kept[i] === "1" ? 1 : 0; return { name: "m", key: "mask" + id, found: { lines: [line([t(kept ? "kept" : "dropped")], kept)], moved: true, note: t("note_drawn", { p: num(N[id].set.p) }) }, shown: kept }; },
  /** Probabilities and losses of a cross-entropy. */
  softmax: (id, i) => { const [a] = N[id].inputs, v = N[a].shape.at(-1), row = Math.floor(i / v), { lse } = lseRow(value(a), row, v); return { name: "p", key: "softmax" + id, of: a, found: { lines: [line([`ln Σ e^x[${row},j]`], lse, "lse"), line(["e^(", valueAt(a, i, "x"), "−", known("lse", lse), ")"], Math.exp(value(a)[i] - lse))], result: Math.exp(value(a)[i] - lse) }, shown: Math.exp(value(a)[i] - lse) }; },
  loss: (id, row) => {
    const { set, inputs: [a] } = N[id], x = value(a), v = N[a].shape.at(-1), target = set.targets[row], { lse, mean } = lseRow(x, row, v), shown = rowLosses(id)[row];
    const lines = target === set.ignore ? [line([t("padding_ignored")], 0)] : [line([`ln Σ e^x[${row},j]`], lse, "lse"), line([`Σ x[${row},j] / ${v}`], mean, "mean(x)"),
      line(["(1 −", known("ε", set.smoothing), ") · (", known("lse", lse), "−", valueAt(a, row * v + target, "x"), ") +", known("ε", set.smoothing), "· (", known("lse", lse), "−", known("mean(x)", mean), ")"], shown)];
    return { name: "ℓ", key: "loss" + id, at: [0, row], label: `ℓ[${row}]`, found: { lines, result: shown }, shown };
  },
};
