// The arithmetic of one cell, from the cells it is made of, with their numbers, and where those lie.

/** The row and column of entry `i` of a node, as its heat map shows them. */
function cellOf(id, i) {
  const { rows, cols } = matrix(id);
  return { layer: Math.floor(i / (rows * cols)), r: Math.floor(i / cols) % rows, c: i % cols };
}
const box = (key, id, r0, r1, c0, c1) => ({ key, id, r0, r1, c0, c1 });
const whole = (key, id) => { const { rows, cols } = matrix(id); return box(key, id, 0, rows, 0, cols); };
const one = (key, id, i) => { const { r, c } = cellOf(id, i); return box(key, id, r, r + 1, c, c + 1); };

/** A sum of products: `terms` are `[name, factor, factor, …]`. */
const products = (terms) => terms.map(([name, ...factors]) => ({ name, factors, value: factors.reduce((a, b) => a * b, 1) }));

/** How entry `i` of the value of a node comes about: `{ terms | steps, outlines }`, or `null` where the page does not say. */
function forwardCell(id, i) {
  const node = N[id], [a, b, c3] = node.inputs;
  const A = a === undefined ? null : value(a), B = b === undefined ? null : value(b);
  const set = node.set, { r, c } = cellOf(id, i);
  const cols = node.shape.at(-1) ?? 1;
  switch (node.op) {
    case "add": case "sub": {
      if (!A || !B) return null;
      const j = i % B.length, k = i % A.length;
      return { terms: products([["a", A[k]], ["b", ...(node.op === "sub" ? [-1] : []), B[j]]]), outlines: [one("v" + a, a, k), one("v" + b, b, j)] };
    }
    case "mul": return A && B && { terms: products([["a·b", A[i % A.length], B[i % B.length]]]), outlines: [one("v" + a, a, i % A.length), one("v" + b, b, i % B.length)] };
    case "scale": return A && { terms: products([["k·x", set.factor, A[i]]]), outlines: [one("v" + a, a, i)] };
    case "embedding": {
      const row = set.ids[Math.floor(i / cols)], j = row * cols + (i % cols);
      return { terms: products([[`E[${row}, ${c}]`, A ? A[j] : value(id)[i]]]), outlines: A ? [one("v" + a, a, j)] : [], note: t("note_embedding", { id: row }) };
    }
    case "dropout": {
      if (!A) return null;
      const kept = set.kept[i] === "1";
      return { terms: products([[kept ? "x / (1 − p)" : t("dropped"), kept ? 1 / (1 - set.p) : 0, A[i]]]), outlines: [one("v" + a, a, i)] };
    }
    case "linear": {
      const W = B;
      if (!A || !W) return null;
      const inner = N[a].shape.at(-1), row = Math.floor(i / cols), o = i % cols;
      const terms = range(inner).map((j) => [`x[${r},${j}]·W[${o},${j}]`, A[row * inner + j], W[o * inner + j]]);
      if (c3 !== undefined) terms.push([`b[${o}]`, value(c3)[o]]);
      return { terms: products(terms), outlines: [box("v" + a, a, r, r + 1, 0, inner), box("v" + b, b, o, o + 1, 0, inner), ...(c3 === undefined ? [] : [box("v" + c3, c3, 0, 1, o, o + 1)])] };
    }
    case "matmul": {
      if (!A || !B || set.ta) return null;
      const inner = N[a].shape.at(-1), rows = node.shape.at(-2), layer = Math.floor(i / (rows * cols));
      const right = (j) => (set.tb ? (layer * cols + c) * inner + j : (layer * inner + j) * cols + c) % B.length;
      const terms = range(inner).map((j) => [`A[${r},${j}]·B[${set.tb ? `${c},${j}` : `${j},${c}`}]`, A[(layer * rows + r) * inner + j], B[right(j)]]);
      return { terms: products(terms), outlines: [box("v" + a, a, r, r + 1, 0, inner), set.tb ? box("v" + b, b, c, c + 1, 0, inner) : box("v" + b, b, 0, inner, c, c + 1)] };
    }
    case "softmax": case "masked_softmax": {
      if (!A) return null;
      const keep = softmaxKeep(id), start = i - c;
      const kept = range(cols).filter((j) => !keep || keep(0, r, j));
      const outlines = [box("v" + a, a, r, r + 1, 0, cols)];
      if (!kept.includes(c)) return { steps: [[t("masked"), "", 0]], outlines, result: 0 };
      const top = Math.max(...kept.map((j) => A[start + j]));
      const parts = kept.map((j) => Math.exp(A[start + j] - top)), total = sum(parts);
      return {
        steps: [[t("step_largest"), `max S = ${num(top, 6)}`, top],
          ...kept.map((j, k) => [`e^(S[${r},${j}] − max)`, `e^(${num(A[start + j] - top, 6)})`, parts[k]]),
          [t("step_total"), "Σ", total], [t("step_quotient"), `${num(parts[kept.indexOf(c)], 6)} / ${num(total, 6)}`, parts[kept.indexOf(c)] / total]],
        result: parts[kept.indexOf(c)] / total, outlines,
      };
    }
    case "layer_norm": {
      const { x, gamma, beta, mean, variance, rstd, hat } = normRow(id, Math.floor(i / cols));
      if (!x) return null;
      return {
        steps: [["μ = Σx / n", `n = ${cols}`, mean], ["σ² = Σ(x − μ)² / n", "", variance], ["1/√(σ² + ε)", `ε = ${num(set.epsilon)}`, rstd],
          [`x̂[${c}] = (x − μ)/√(σ² + ε)`, `(${num(x[c], 6)} − ${num(mean, 6)})·${num(rstd, 6)}`, hat[c]],
          [`y = γ·x̂ + β`, `${num(gamma[c], 6)}·${num(hat[c], 6)} + ${num(beta[c], 6)}`, gamma[c] * hat[c] + beta[c]]],
        result: gamma[c] * hat[c] + beta[c], outlines: [box("v" + a, a, r, r + 1, 0, cols), one("v" + b, b, c), one("v" + c3, c3, c)],
      };
    }
    case "relu": return A && { steps: [["max(x, 0)", `max(${num(A[i], 6)}, 0)`, Math.max(A[i], 0)]], result: Math.max(A[i], 0), outlines: [one("v" + a, a, i)] };
    case "silu": return A && { steps: [["x·σ(x)", num(A[i], 6), A[i] / (1 + Math.exp(-A[i]))]], result: A[i] / (1 + Math.exp(-A[i])), outlines: [one("v" + a, a, i)] };
    case "gelu": {
      if (!A) return null;
      const u = Math.sqrt(2 / Math.PI) * (A[i] + 0.044715 * A[i] ** 3), y = 0.5 * A[i] * (1 + Math.tanh(u));
      return { steps: [["u = √(2/π)(x + 0.044715x³)", num(A[i], 6), u], ["½x(1 + tanh u)", "", y]], result: y, outlines: [one("v" + a, a, i)] };
    }
    case "cross_entropy": {
      if (!A) return null;
      const v = N[a].shape.at(-1), rows = A.length / v;
      const terms = range(rows).filter((row) => set.targets[row] !== set.ignore).map((row) => {
        const { lse, mean } = lseRow(A, row, v), target = set.targets[row];
        const loss = (1 - set.smoothing) * (lse - A[row * v + target]) + set.smoothing * (lse - mean);
        return [`w·${t("loss_word")}(${names(a, 0) ? show(words.target_out[row] ?? "") : row})`, set.weight, loss];
      });
      return { terms: products(terms), outlines: [whole("v" + a, a)] };
    }
    case "reshape": return A && { terms: products([["x", A[i]]]), outlines: [one("v" + a, a, i)], note: t("note_moved") };
    case "permute": { const j = sourceOf(i, N[a].shape, set.order); return A && { terms: products([["x", A[j]]]), outlines: [one("v" + a, a, j)], note: t("note_moved") }; }
    default: return null;
  }
}

/** `ln Σ e^x` and the mean of a row. */
function lseRow(x, row, v) {
  let top = -Infinity, total = 0, mean = 0;
  for (let j = 0; j < v; j++) top = Math.max(top, x[row * v + j]);
  for (let j = 0; j < v; j++) { total += Math.exp(x[row * v + j] - top); mean += x[row * v + j] / v; }
  return { lse: top + Math.log(total), mean };
}

/** All that layer normalisation computes of one row, forward and backward. */
function normRow(id, row, dyOf) {
  const node = N[id], n = node.shape.at(-1);
  const [X, G, B] = node.inputs.map(value);
  if (!X || !G) return {};
  const x = X.slice(row * n, row * n + n), gamma = G, beta = B;
  const mean = sum(x) / n, variance = sum(x.map((x) => (x - mean) ** 2)) / n, rstd = 1 / Math.sqrt(variance + node.set.epsilon);
  const hat = x.map((x) => (x - mean) * rstd);
  const DY = dyOf || grad(id);
  if (!DY) return { x, gamma, beta, mean, variance, rstd, hat };
  const dy = DY.slice(row * n, row * n + n), g = dy.map((dy, j) => gamma[j] * dy);
  const meanG = sum(g) / n, meanGX = sum(g.map((g, j) => g * hat[j])) / n;
  const terms = [g.map((g) => rstd * g), g.map(() => -rstd * meanG), hat.map((h) => -rstd * h * meanGX)];
  return { x, gamma, beta, mean, variance, rstd, hat, dy, g, meanG, meanGX, terms, dx: terms[0].map((a, j) => a + terms[1][j] + terms[2][j]) };
}

/** How entry `i` of what node `id` adds to the gradient of its input `k` comes about. */
function backwardCell(id, k, i) {
  const node = N[id], input = node.inputs[k], set = node.set, dy = grad(id);
  if (!dy || node.inputs.indexOf(input) !== node.inputs.lastIndexOf(input)) return null;
  const A = value(node.inputs[0]), B = node.inputs[1] === undefined ? null : value(node.inputs[1]);
  const { r, c } = cellOf(input, i), cols = N[input].shape.at(-1) ?? 1, g = "g" + id;
  const out = node.shape.at(-1) ?? 1;
  switch (node.op) {
    case "add": case "sub": {
      const sign = node.op === "sub" && k === 1 ? [-1] : [], many = dy.length / size(N[input].shape);
      const places = range(many).map((m) => m * size(N[input].shape) + i);
      return { terms: products(places.map((p) => ["dy", ...sign, dy[p]])), outlines: places.map((p) => one(g, id, p)) };
    }
    case "mul": { const other = k === 0 ? B : A, to = node.inputs[1 - k]; return other && other.length === dy.length && { terms: products([["dy·" + (k ? "a" : "b"), dy[i], other[i]]]), outlines: [one(g, id, i), one("v" + to, to, i)] }; }
    case "scale": return { terms: products([["k·dy", set.factor, dy[i]]]), outlines: [one(g, id, i)] };
    case "embedding": {
      const word = Math.floor(i / cols), rows = set.ids.map((other, row) => [other, row]).filter(([other]) => other === word).map(([, row]) => row);
      return { terms: products(rows.map((row) => [`dy[${row},${c}]`, dy[row * cols + c]])), outlines: rows.map((row) => one(g, id, row * cols + c)), note: t("note_rows", { n: rows.length }) };
    }
    case "dropout": { const kept = set.kept[i] === "1"; return { terms: products([[kept ? "dy / (1 − p)" : t("dropped"), kept ? 1 / (1 - set.p) : 0, dy[i]]]), outlines: [one(g, id, i)] }; }
    case "linear": {
      const rows = dy.length / out;
      if (k === 0) {
        if (!B) return null;
        const row = Math.floor(i / cols);
        return { terms: products(range(out).map((o) => [`dy[${r},${o}]·W[${o},${c}]`, dy[row * out + o], B[o * cols + c]])), outlines: [box(g, id, r, r + 1, 0, out), box("v" + node.inputs[1], node.inputs[1], 0, out, c, c + 1)] };
      }
      if (k === 1) {
        if (!A) return null;
        return { terms: products(range(rows).map((row) => [`dy[${row},${r}]·x[${row},${c}]`, dy[row * out + r], A[row * cols + c]])), outlines: [box(g, id, 0, rows, r, r + 1), box("v" + node.inputs[0], node.inputs[0], 0, rows, c, c + 1)] };
      }
      return { terms: products(range(rows).map((row) => [`dy[${row},${c}]`, dy[row * out + c]])), outlines: [box(g, id, 0, rows, c, c + 1)] };
    }
    case "matmul": {
      if (!A || !B || set.ta || N[node.inputs[1]].shape.length !== N[node.inputs[0]].shape.length) return null;
      const m = node.shape.at(-2), inner = N[node.inputs[0]].shape.at(-1), layer = cellOf(input, i).layer;
      const DY = (row, col) => dy[(layer * m + row) * out + col], key = "v" + node.inputs[1 - k], to = node.inputs[1 - k];
      if (k === 0) {
        const b = (o) => B[set.tb ? (layer * out + o) * inner + c : (layer * inner + c) * out + o];
        return { terms: products(range(out).map((o) => [`dC[${r},${o}]·B[${set.tb ? `${o},${c}` : `${c},${o}`}]`, DY(r, o), b(o)])), outlines: [box(g, id, r, r + 1, 0, out), set.tb ? box(key, to, 0, out, c, c + 1) : box(key, to, c, c + 1, 0, out)] };
      }
      const [o, j] = set.tb ? [r, c] : [c, r];
      return { terms: products(range(m).map((row) => [`dC[${row},${o}]·A[${row},${j}]`, DY(row, o), A[(layer * m + row) * inner + j]])), outlines: [box(g, id, 0, m, o, o + 1), box(key, to, 0, m, j, j + 1)] };
    }
    case "softmax": case "masked_softmax": {
      const y = value(id), start = i - c;
      const inner = range(cols).map((j) => y[start + j] * dy[start + j]), rowsum = sum(inner);
      return {
        steps: [...inner.map((p, j) => [`A[${r},${j}]·dA[${r},${j}]`, `${num(y[start + j], 6)} · ${num(dy[start + j], 6)}`, p]), ["rowsum(A∘dA)", "Σ", rowsum],
          ["dA − rowsum", `${num(dy[i], 6)} − ${num(rowsum, 6)}`, dy[i] - rowsum], ["A·(dA − rowsum)", `${num(y[i], 6)} · ${num(dy[i] - rowsum, 6)}`, y[i] * (dy[i] - rowsum)]],
        result: y[i] * (dy[i] - rowsum), outlines: [box("v" + id, id, r, r + 1, 0, cols), box(g, id, r, r + 1, 0, cols)],
      };
    }
    case "layer_norm": {
      const n = node.shape.at(-1), rows = dy.length / n;
      if (k === 0) {
        const { terms, meanG, meanGX, rstd, g: gs, hat, dx } = normRow(id, Math.floor(i / n));
        return {
          steps: [["g = γ·dy", "", gs[c]], ["mean(g)", "", meanG], ["mean(g∘x̂)", "", meanGX], ["rstd·g", `${num(rstd, 6)} · ${num(gs[c], 6)}`, terms[0][c]], ["− rstd·mean(g)", `−${num(rstd, 6)} · ${num(meanG, 6)}`, terms[1][c]],
            ["− rstd·x̂·mean(g∘x̂)", `−${num(rstd, 6)} · ${num(hat[c], 6)} · ${num(meanGX, 6)}`, terms[2][c]], [t("step_sum"), "", dx[c]]],
          result: dx[c], outlines: [box(g, id, r, r + 1, 0, n), box("v" + input, input, r, r + 1, 0, n)],
        };
      }
      const hats = k === 1 ? range(rows).map((row) => normRow(id, row).hat[c]) : null;
      return { terms: products(range(rows).map((row) => [k === 1 ? `dy[${row},${c}]·x̂[${row},${c}]` : `dy[${row},${c}]`, dy[row * n + c], ...(hats ? [hats[row]] : [])])), outlines: [box(g, id, 0, rows, c, c + 1)] };
    }
    case "relu": { const on = A[i] > 0 ? 1 : 0; return { terms: products([[`[x > 0]·dy, x = ${num(A[i])}`, on, dy[i]]]), outlines: [one(g, id, i), one("v" + input, input, i)] }; }
    case "silu": { const s = 1 / (1 + Math.exp(-A[i])), d = s + A[i] * s * (1 - s); return { terms: products([["silu′(x)·dy", d, dy[i]]]), outlines: [one(g, id, i)] }; }
    case "gelu": {
      const k0 = Math.sqrt(2 / Math.PI), u = k0 * (A[i] + 0.044715 * A[i] ** 3), th = Math.tanh(u);
      const d = 0.5 * (1 + th) + 0.5 * A[i] * (1 - th * th) * k0 * (1 + 3 * 0.044715 * A[i] ** 2);
      return { terms: products([["gelu′(x)·dy", d, dy[i]]]), outlines: [one(g, id, i)] };
    }
    case "cross_entropy": {
      const v = cols, row = Math.floor(i / v), target = set.targets[row];
      if (target === set.ignore) return { steps: [[t("padding_ignored"), "", 0]], result: 0, outlines: [] };
      const { lse } = lseRow(A, row, v), p = Math.exp(A[i] - lse), hot = c === target ? 1 : 0;
      const result = set.weight * dy[0] * (p - (1 - set.smoothing) * hot - set.smoothing / v);
      return { steps: [["softmax(x)", `e^(${num(A[i], 6)} − ${num(lse, 6)})`, p], ["(1 − ε)·onehot", `${num(1 - set.smoothing)} · ${hot}`, (1 - set.smoothing) * hot], ["ε/V", `${num(set.smoothing)} / ${v}`, set.smoothing / v], ["w·dy·(…)", `${num(set.weight)} · ${num(dy[0])}`, result]], result, outlines: [box("v" + input, input, row, row + 1, 0, v)] };
    }
    case "reshape": return { terms: products([["dy", dy[i]]]), outlines: [one(g, id, i)], note: t("note_moved") };
    case "permute": { const j = sourceOf(i, node.shape, inverse(set.order)); return { terms: products([["dy", dy[j]]]), outlines: [one(g, id, j)], note: t("note_moved") }; }
    default: return null;
  }
}

/** The gradient of a node in one cell: the sum of what its readers add. */
function gradientCell(id, i) {
  const terms = N[id].terms.map(({ from }) => { const x = term(id, from); return x && [t("from_word") + " " + nick(from), x[i]]; });
  if (terms.some((x) => !x)) return null;
  return { terms: products(terms), outlines: N[id].terms.map(({ from }) => one(`t${id}.${from}`, id, i)) };
}

/** Shows the arithmetic of the cell in `state.cell`, and outlines what it is made of. */
function cellPanel() {
  const place = el("section.cell-panel", { id: "cell", "aria-live": "polite" });
  if (!state.cell) { place.append(el("p.about", {}, t("cell_hint"))); return place; }
  const { kind, id, k, i, title } = state.cell;
  const found = kind === "v" ? forwardCell(id, i) : kind === "b" ? backwardCell(id, k, i) : gradientCell(id, i);
  const of = kind === "b" ? N[id].inputs[k] : id, { layer, r, c } = cellOf(of, i);
  const tape = kind === "v" ? value(id)?.[i] : kind === "b" ? term(of, id)?.[i] : grad(id)?.[i];
  const row = names(of, 0)?.[r] ?? r, col = names(of, 1)?.[c] ?? c;
  place.append(el("h3", {}, title || "", " ", el("span.where", {}, `[${row}, ${col}]`, matrix(of).layers > 1 ? ` · ${t("head")} ${layer}` : "")));
  if (!found) { place.append(el("p.about", {}, t("no_arithmetic"))); return place; }
  // In the lab the operands have the names of attention.
  const named = (text) => (state.cell.symbols ? text.replace(/(d?)([ABC])\[/g, (_, d, x) => `${d}${state.cell.symbols[x]}[`) : text);
  const formula = state.cell.symbols ? null : kind === "v" ? rule(id).forward : kind === "b" ? rule(id).backward[k] : null;
  if (formula) place.append(el("p.formula", { html: formula }));
  const result = found.result ?? sum(found.terms.map((x) => x.value));
  const rows = found.terms
    ? found.terms.map((x) => el("tr", {}, el("td.name", {}, named(x.name)), el("td", {}, x.factors.map((f) => num(f, 7)).join(" · ")), el("td.number", {}, num(x.value, 7))))
    : found.steps.map(([name, how, x]) => el("tr", {}, el("td.name", {}, name), el("td", {}, how), el("td.number", {}, num(x, 7))));
  const table = el("table.arithmetic", {}, el("tbody", {}, rows), el("tfoot", {},
    el("tr", {}, el("td", { colspan: 2 }, t("recomputed")), el("td.number.result", { "data-result": String(result) }, num(result, 9))),
    el("tr", {}, el("td", { colspan: 2 }, t("tape_says")), el("td.number", { "data-tape": String(tape) }, num(tape, 9)))));
  const off = Math.abs(result - tape), scale = Math.max(Math.abs(tape), ...(found.terms || []).map((x) => Math.abs(x.value)), 1e-12);
  place.append(el("div.scroll.tall", {}, table), el("p", {}, tick(off <= 1e-6 * scale), " ", t("difference", { x: num(off, 2) })), found.note ? el("p.about", {}, found.note) : "");
  queueMicrotask(() => {
    clearOutlines();
    const byKey = new Map();
    for (const o of [...found.outlines, one(kind === "v" ? "v" + id : kind === "b" ? `t${of}.${id}` : "g" + id, of, i)]) byKey.set(o.key, [...(byKey.get(o.key) || []), o]);
    for (const [key, boxes] of byKey) heats.get(key)?.outline(boxes);
  });
  return place;
}

/** Chooses a cell and shows its arithmetic. */
function pickCell(cell) {
  state.cell = cell;
  const old = document.getElementById("cell");
  if (old) old.replaceWith(cellPanel()); else render();
}
