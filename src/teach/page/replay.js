// A planted bug: the pass run again in this page, with one rule or one setting wrong. What no bug reaches stays the tape's.

/** The pass with the planted bug: changed values, gradients and terms. `null` without a bug. */
function replayed() {
  if (state.bug === null) return null;
  if (replayed.bug !== state.bug) { replayed.bug = state.bug; replayed.pass = replay(R.bugs[state.bug]); }
  return replayed.pass;
}

/** Every name of a planted bug: `softmax: no inner product`. */
const bugName = (bug) => `${bug.op}: ${bug.name}`;

function replay(bug) {
  const wrong = { values: new Map(), settings: new Map(), grads: new Map(), terms: new Map() };
  forwardAgain(bug, wrong);
  sweepAgain(bug, wrong, R.root, null, true);
  return wrong;
}

/** Runs what a wrong setting changes, and all that depends on it. */
function forwardAgain(bug, wrong) {
  const alter = SETTINGS[bugName(bug)];
  if (!alter) return;
  const at = (id) => (wrong.values.has(id) ? wrong.values.get(id) : rightValue(id));
  N.forEach((node, id) => {
    const altered = node.op === bug.op ? alter(node) : null;
    if (altered) wrong.settings.set(id, altered);
    if (!altered && !node.inputs.some((input) => wrong.values.has(input))) return;
    const xs = node.inputs.map(at), y = xs.every(Boolean) ? computed(id, xs, altered || node.set) : null, right = rightValue(id);
    if (!y || !right || !same(y, right, rounding([id, false], ...node.inputs.map((input) => [input, false])))) wrong.values.set(id, y);
  });
}

/** Whether two tensors differ by no more than this part of the larger of `b` and `least`. */
function same(a, b, part, least = 0) {
  const most = part * Math.max(largest(b), least);
  for (let i = 0; i < a.length; i++) if (!(Math.abs(a[i] - b[i]) <= most)) return false;
  return true;
}

/**
 * The reverse sweep with a bug, into `wrong`: from `start`, whose gradient is `seed`. Without a seed it is the tape's own sweep, and
 * what the bug does not reach is left out. `parameters` says whether gradients of parameters are wanted.
 */
function sweepAgain(bug, wrong, start, seed, parameters) {
  const at = (id) => (wrong.values.has(id) ? wrong.values.get(id) : rightValue(id));
  const parts = new Map(), slips = bug?.op === "sweep", whole = seed !== null;
  if (whole) wrong.grads.set(start, seed);
  /** Adds up what has reached a node; leaves it out where all of that is the tape's own. */
  const settle = (id) => {
    const own = parts.get(id);
    if (!own || (!whole && !slips && own.every((part) => part.clean))) return;
    // Where the sweep overwrites, the part that came last is all there is.
    const kept = slips ? own.slice(-1) : own;
    const arrays = kept.map((part) => (part.clean ? rightTerm(id, part.from) ?? contribution(null, part.from, id, rightGrad(part.from), rightValue, (of) => N[of].set) : part.value));
    const total = arrays.every(Boolean) ? added(arrays) : null;
    // What is zero by mathematics is held to the size of what cancels.
    const cancels = N[id].verdict?.zero ? Math.max(...kept.map(({ from }) => largest(wrong.grads.get(from) || rightGrad(from) || []))) : 0;
    if (!whole && total && rightGrad(id) && same(total, rightGrad(id), rounding([id, true]), cancels)) return;
    wrong.grads.set(id, total);
  };
  const settingsOf = (id) => wrong.settings.get(id) || N[id].set;
  for (const id of R.sweep.slice(sweepAt.get(start))) {
    if (id !== start) settle(id);
    const touched = wrong.grads.has(id), node = N[id], faulty = bug !== null && node.op === bug.op;
    if (whole && !touched) continue;
    const moved = wrong.settings.has(id) || wrong.values.has(id) || node.inputs.some((input) => wrong.values.has(input));
    const dy = touched ? wrong.grads.get(id) : rightGrad(id);
    for (const input of new Set(node.inputs)) {
      if (N[input].gnorm === null || (!parameters && N[input].op === "param")) continue;
      const list = parts.get(input) || [];
      parts.set(input, list);
      let part = { from: id, clean: true };
      if (touched || faulty || moved) {
        const added_ = dy && contribution(faulty ? bug : null, id, input, dy, at, settingsOf);
        const right = whole || touched || moved ? null : rightTerm(input, id);
        if (!(added_ && right && same(added_, right, rounding([id, true], [id, false], [input, true], ...node.inputs.map((of) => [of, false])), N[input].verdict?.zero ? largest(dy) : 0))) part = { from: id, clean: false, value: added_ };
      }
      list.push(part);
      if (!part.clean) wrong.terms.set(`${input}.${id}`, part.value);
    }
  }
  for (const id of parts.keys()) if (!sweepAt.has(id)) settle(id);
}

function added(arrays) {
  const total = Float64Array.from(arrays[0]);
  for (const other of arrays.slice(1)) for (let i = 0; i < total.length; i++) total[i] += other[i];
  return total;
}

/** What node `id` adds to the gradient of `input`, with a bug or without; `null` where the page cannot say. */
function contribution(bug, id, input, dy, at, settingsOf) {
  const node = N[id], xs = node.inputs.map(at), pass = { id, node, xs, y: at(id), dy, set: settingsOf(id) };
  if (!dy) return null;
  const places = range(node.inputs.length).filter((k) => node.inputs[k] === input);
  const arrays = places.map((k) => {
    const right = backwardRule(pass, k), rule = bug && RULES[bugName(bug)];
    // Without what the right rule needs no wrong one can be told.
    if (!right) return null;
    if (bug && !rule && !SETTINGS[bugName(bug)] && bug.op !== "sweep") return null;
    return rule ? rule(pass, k, right) ?? right : right;
  });
  return arrays.every(Boolean) ? (arrays.length === 1 ? arrays[0] : added(arrays)) : null;
}

/** The value of a node of these inputs; `null` for ops that the page does not know. */
function computed(id, xs, set) {
  const node = N[id], n = node.shape.at(-1) ?? 1, len = size(node.shape), [a, b, c] = xs;
  const each = (f) => Float64Array.from({ length: len }, (_, i) => f(i));
  switch (node.op) {
    case "add": return each((i) => a[i % a.length] + b[i % b.length]);
    case "sub": return each((i) => a[i % a.length] - b[i % b.length]);
    case "mul": return each((i) => a[i % a.length] * b[i % b.length]);
    case "scale": return each((i) => set.factor * a[i]);
    case "embedding": return each((i) => a[set.ids[Math.floor(i / n)] * n + (i % n)]);
    case "dropout": return each((i) => (set.kept[i] === "1" ? a[i] / (1 - set.p) : 0));
    case "linear": {
      const inner = N[node.inputs[0]].shape.at(-1), y = new Float64Array(len);
      for (let r = 0; r < len / n; r++) for (let o = 0; o < n; o++) {
        let s = c ? c[o] : 0;
        for (let j = 0; j < inner; j++) s += a[r * inner + j] * b[o * inner + j];
        y[r * n + o] = s;
      }
      return y;
    }
    case "matmul": {
      const { m, inner, layers } = product(node), y = new Float64Array(len);
      for (let l = 0; l < layers; l++) for (let r = 0; r < m; r++) for (let o = 0; o < n; o++) {
        let s = 0;
        for (let j = 0; j < inner; j++) s += a[set.ta ? (l * inner + j) * m + r : (l * m + r) * inner + j] * b[(set.tb ? (l * n + o) * inner + j : (l * inner + j) * n + o) % b.length];
        y[(l * m + r) * n + o] = s;
      }
      return y;
    }
    case "softmax": case "masked_softmax": return softmaxRows(a, n, node.op === "softmax" ? null : keepOf(set, node.shape));
    case "layer_norm": return joined(range(len / n).map((r) => { const { hat } = moments(a.subarray(r * n, r * n + n), set.epsilon); return hat.map((h, j) => h * b[j] + c[j]); }));
    case "relu": return each((i) => Math.max(a[i], 0));
    case "gelu": return each((i) => 0.5 * a[i] * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (a[i] + 0.044715 * a[i] ** 3))));
    case "silu": return each((i) => a[i] / (1 + Math.exp(-a[i])));
    case "cross_entropy": {
      const v = N[node.inputs[0]].shape.at(-1);
      return Float64Array.of(set.weight * sum(set.targets.map((target, row) => (target === set.ignore ? 0 : rowLoss(a, row, v, target, set.smoothing)))));
    }
    case "reshape": return a;
    case "permute": return permuted(a, N[node.inputs[0]].shape, set.order);
    default: return null;
  }
}

/** The sizes of a product of matrices. */
function product(node) {
  const [a] = node.inputs, shape = N[a].shape, m = node.shape.at(-2);
  return { m, inner: node.set.ta ? shape.at(-2) : shape.at(-1), layers: size(node.shape.slice(0, -2)) };
}

/** The loss of one row with label smoothing. */
function rowLoss(x, row, v, target, smoothing) {
  const { lse, mean } = lseRow(x, row, v);
  return (1 - smoothing) * (lse - x[row * v + target]) + smoothing * (lse - mean);
}

/** Whether a mask keeps entry `i`. */
function keepOf(set, shape) {
  const [rows, cols] = shape.slice(-2);
  return set.keep.length === rows * cols ? (i) => set.keep[i % (rows * cols)] === "1" : set.keep.length === cols ? (i) => set.keep[i % cols] === "1" : (i) => set.keep[i] === "1";
}

function softmaxRows(x, n, keep) {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += n) {
    let top = -Infinity, total = 0;
    for (let i = start; i < start + n; i++) if (!keep || keep(i)) top = Math.max(top, x[i]);
    for (let i = start; i < start + n; i++) if (!keep || keep(i)) total += y[i] = Math.exp(x[i] - top);
    for (let i = start; i < start + n; i++) if (total > 0) y[i] /= total;
  }
  return y;
}

/** Mean, variance and what normalisation makes of a row. */
function moments(x, epsilon) {
  const mean = sum(x) / x.length, variance = sum(x.map((x) => (x - mean) ** 2)) / x.length, rstd = 1 / Math.sqrt(variance + epsilon);
  return { mean, variance, rstd, hat: x.map((x) => (x - mean) * rstd) };
}

const joined = (rows) => { const all = new Float64Array(sum(rows.map((row) => row.length))); let at = 0; for (const row of rows) { all.set(row, at); at += row.length; } return all; };

/** The right rule: what a node adds to the gradient of its input `k`. */
function backwardRule({ id, node, xs, y, dy, set }, k) {
  const [a, b] = xs, n = node.shape.at(-1) ?? 1, input = node.inputs[k], len = size(N[input].shape);
  switch (node.op) {
    case "add": case "sub": {
      const sign = node.op === "sub" && k === 1 ? -1 : 1, dx = new Float64Array(len);
      for (let i = 0; i < dy.length; i++) dx[i % len] += sign * dy[i];
      return dx;
    }
    case "mul": {
      const other = k === 0 ? b : a, dx = new Float64Array(len);
      if (!other) return null;
      for (let i = 0; i < dy.length; i++) dx[i % len] += dy[i] * other[i % other.length];
      return dx;
    }
    case "scale": return dy.map((d) => set.factor * d);
    case "embedding": {
      const dx = new Float64Array(len);
      set.ids.forEach((word, row) => { for (let j = 0; j < n; j++) dx[word * n + j] += dy[row * n + j]; });
      return dx;
    }
    case "dropout": return dy.map((d, i) => (set.kept[i] === "1" ? d / (1 - set.p) : 0));
    case "linear": {
      if (k === 1) return a && weightGradient(id, dy, a);
      const dx = new Float64Array(len), inner = N[node.inputs[0]].shape.at(-1);
      if (k === 2) { for (let i = 0; i < dy.length; i++) dx[i % n] += dy[i]; return dx; }
      if (!b) return null;
      for (let r = 0; r < dy.length / n; r++) for (let o = 0; o < n; o++) {
        const d = dy[r * n + o];
        if (d !== 0) for (let j = 0; j < inner; j++) dx[r * inner + j] += d * b[o * inner + j];
      }
      return dx;
    }
    case "matmul": {
      const { m, inner, layers } = product(node);
      if (set.ta || !a || !b || a.length !== layers * m * inner || b.length !== layers * inner * n) return null;
      const dx = new Float64Array(len), B = (l, j, o) => (set.tb ? (l * n + o) * inner + j : (l * inner + j) * n + o);
      for (let l = 0; l < layers; l++) for (let r = 0; r < m; r++) for (let o = 0; o < n; o++) {
        const d = dy[(l * m + r) * n + o];
        if (d !== 0) for (let j = 0; j < inner; j++) { const A = (l * m + r) * inner + j; if (k === 0) dx[A] += d * b[B(l, j, o)]; else dx[B(l, j, o)] += d * a[A]; }
      }
      return dx;
    }
    case "softmax": case "masked_softmax": return bySoftmaxRows(y, dy, n, (y, dy) => inner_(y, dy));
    case "layer_norm": {
      if (!a || !b) return null;
      if (k === 0) return normRows(xs, dy, n, set.epsilon, 1, 1);
      const dx = new Float64Array(n);
      for (let start = 0; start < dy.length; start += n) {
        const { hat } = moments(a.subarray(start, start + n), set.epsilon);
        for (let j = 0; j < n; j++) dx[j] += dy[start + j] * (k === 1 ? hat[j] : 1);
      }
      return dx;
    }
    case "relu": return a && dy.map((d, i) => (a[i] > 0 ? d : 0));
    case "gelu": return a && dy.map((d, i) => d * geluSlope(a[i], 0.044715, 0.044715));
    case "silu": return a && dy.map((d, i) => d * siluSlope(a[i]));
    case "cross_entropy": return a && lossGradient(a, dy[0], N[input].shape.at(-1), set);
    case "reshape": return dy;
    case "permute": return permuted(dy, set.order.map((axis) => N[input].shape[axis]), inverse(set.order));
    default: return null;
  }
}

const inner_ = (a, b) => { let s = 0; for (let i = 0; i < a.length; i++) s += a[i] * b[i]; return s; };
function bySoftmaxRows(y, dy, n, centre) {
  const dx = new Float64Array(dy.length);
  for (let start = 0; start < dy.length; start += n) {
    const c = centre(y.subarray(start, start + n), dy.subarray(start, start + n));
    for (let i = start; i < start + n; i++) dx[i] = y[i] * (dy[i] - c);
  }
  return dx;
}
/** `rstd·(g − α·mean(g) − β·x̂·mean(g∘x̂))` for every row; both factors are 1 in the right rule. */
function normRows([x, gamma], dy, n, epsilon, alpha, beta) {
  const dx = new Float64Array(dy.length);
  for (let start = 0; start < dy.length; start += n) {
    const { rstd, hat } = moments(x.subarray(start, start + n), epsilon), g = hat.map((_, j) => gamma[j] * dy[start + j]);
    const mean = sum(g) / n, along = inner_(g, hat) / n;
    for (let j = 0; j < n; j++) dx[start + j] = rstd * (g[j] - alpha * mean - beta * hat[j] * along);
  }
  return dx;
}
function geluSlope(x, a, b) {
  const c = Math.sqrt(2 / Math.PI), th = Math.tanh(c * (x + a * x ** 3));
  return 0.5 * (1 + th) + 0.5 * x * (1 - th * th) * c * (1 + 3 * b * x * x);
}
function siluSlope(x) { const s = 1 / (1 + Math.exp(-x)); return s + x * s * (1 - s); }
function lossGradient(x, dy, v, { targets, ignore, smoothing, weight }) {
  const dx = new Float64Array(x.length);
  targets.forEach((target, row) => {
    if (target === ignore) return;
    const { lse } = lseRow(x, row, v);
    for (let j = 0; j < v; j++) dx[row * v + j] = weight * dy * (Math.exp(x[row * v + j] - lse) - (j === target ? 1 - smoothing : 0) - smoothing / v);
  });
  return dx;
}

// The bugs, as autograd/src/faults has them. A test holds every gradient of every one to the tape's.

/** A wrong rule gives what is added to input `k` instead of `right`; `undefined` where it adds what is right. */
const RULES = {
  "add: unsummed stretch": ({ dy }, k, right) => dy.slice(0, right.length),
  "add: detached residual": (_, k, right) => (k === 0 ? right.map(() => 0) : undefined),
  "sub: no sign": (_, k, right) => (k === 1 ? right.map((x) => -x) : undefined),
  "sub: averaged stretch": ({ dy }, k, right) => right.map((x) => x * right.length / dy.length),
  "mul: own factor": ({ xs, dy }, k, right) => { const dx = right.map(() => 0); for (let i = 0; i < dy.length; i++) dx[i % dx.length] += dy[i] * xs[k][i % dx.length]; return dx; },
  "mul: square counted once": ({ node }, k, right) => (k === 1 && node.inputs[0] === node.inputs[1] ? right.map(() => 0) : undefined),
  "scale: no factor": ({ dy }) => Float64Array.from(dy),
  "scale: divided": ({ dy, set }) => dy.map((d) => d / set.factor),
  "scale: factor in f32": ({ dy, set }) => dy.map((d) => Math.fround(set.factor) * d),
  "matmul: untransposed operand": ({ node, xs, dy, set }, k) => {
    if (k !== 0 || set.ta || set.tb) return undefined;
    // B's memory, read as if it were Bᵀ.
    const { m, inner, layers } = product(node), n = node.shape.at(-1), dx = new Float64Array(layers * m * inner);
    for (let l = 0; l < layers; l++) for (let r = 0; r < m; r++) for (let o = 0; o < n; o++) for (let j = 0; j < inner; j++) dx[(l * m + r) * inner + j] += dy[(l * m + r) * n + o] * xs[1][(l * n + o) * inner + j];
    return dx;
  },
  "matmul: untransposed gradient": ({ node, set }, k, right) => ((k === 0 ? set.ta : set.tb) ? transposedMemory(right, N[node.inputs[k]].shape) : undefined),
  "linear: no row sum": ({ dy }, k, right) => (k === 2 ? dy.slice(0, right.length) : undefined),
  "linear: averaged weight": ({ node }, k, right) => { const rows = size(N[node.inputs[0]].shape.slice(0, -1)); return k === 1 ? right.map((x) => x / rows) : undefined; },
  "linear: untransposed operand": ({ node, xs, dy }, k, right) => {
    if (k !== 0) return undefined;
    // W's memory, read as if it were Wᵀ.
    const n = node.shape.at(-1), inner = right.length / (dy.length / n), dx = new Float64Array(right.length);
    for (let r = 0; r < dy.length / n; r++) for (let o = 0; o < n; o++) for (let j = 0; j < inner; j++) dx[r * inner + j] += dy[r * n + o] * xs[1][j * n + o];
    return dx;
  },
  "linear: untransposed gradient": ({ node }, k, right) => (k === 1 ? transposedMemory(right, N[node.inputs[1]].shape) : undefined),
  "linear: saved in half precision": ({ id, xs, dy }, k) => (k === 1 ? weightGradient(id, dy, xs[0].map(truncated)) : undefined),
  "reshape: by columns": ({ node, dy }) => permuted(dy, node.shape, node.shape.map((_, axis) => node.shape.length - 1 - axis)),
  "permute: same order": ({ node, dy, set }) => permuted(dy, node.shape, set.order),
  "permute: reshaped": ({ dy }) => dy,
  "embedding: overwritten rows": ({ node, dy, set }, k, right) => { const n = node.shape.at(-1), dx = right.map(() => 0); set.ids.forEach((word, row) => dx.set(dy.subarray(row * n, row * n + n), word * n)); return dx; },
  "embedding: row 0 frozen": ({ node }, k, right) => right.map((x, i) => (i < node.shape.at(-1) ? 0 : x)),
  "relu: open at zero": ({ xs, dy }) => dy.map((d, i) => (xs[0][i] >= 0 ? d : 0)),
  "relu: guided": (_, k, right) => right.map((x) => Math.max(x, 0)),
  "relu: straight through": ({ dy }) => dy,
  "gelu: sigmoid form": ({ xs, dy }) => dy.map((d, i) => d * siluSlope(1.702 * xs[0][i])),
  "gelu: no inner derivative": ({ xs, dy }) => dy.map((d, i) => d * geluSlope(xs[0][i], 0.044715, 0)),
  "gelu: rounded constant": ({ xs, dy }) => dy.map((d, i) => d * geluSlope(xs[0][i], 0.0447, 0.0447)),
  "silu: no product rule": ({ xs, dy }) => dy.map((d, i) => d / (1 + Math.exp(-xs[0][i]))),
  "dropout: no mask": ({ dy, set }) => dy.map((d) => d / (1 - set.p)),
  "dropout: no scale": ({ set }, k, right) => right.map((x) => x * (1 - set.p)),
  "dropout: another mask": ({ dy, set }) => dy.map((d, i) => (set.other[i] === "1" ? d / (1 - set.p) : 0)),
  "softmax: no inner product": ({ y, dy, node }) => bySoftmaxRows(y, dy, node.shape.at(-1), () => 0),
  "softmax: plain mean": ({ y, dy, node }) => bySoftmaxRows(y, dy, node.shape.at(-1), (_, dy) => sum(dy) / dy.length),
  "softmax: wrong axis": ({ y, dy, node }) => { const whole = inner_(y, dy); return bySoftmaxRows(y, dy, node.shape.at(-1), () => whole); },
  "softmax: as log-softmax": ({ y, dy, node }) => { const n = node.shape.at(-1); return dy.map((d, i) => d - y[i] * sum(dy.subarray(i - i % n, i - i % n + n))); },
  "masked_softmax: no inner product": ({ y, dy, node }) => bySoftmaxRows(y, dy, node.shape.at(-1), () => 0),
  "masked_softmax: no mask in the rule": ({ xs, dy, node }) => { const n = node.shape.at(-1); return bySoftmaxRows(softmaxRows(xs[0], n, null), dy, n, inner_); },
  "layer_norm: no mean": (pass, k) => lessOf(pass, k, 0, () => 1),
  "layer_norm: no variance": (pass, k) => lessOf(pass, k, 1, () => 0),
  "layer_norm: constant moments": (pass, k) => lessOf(pass, k, 0, () => 0),
  "layer_norm: N − 1": (pass, k) => lessOf(pass, k, 1, (n) => n / (n - 1)),
  "layer_norm: no ε in the rule": ({ node, xs, dy }, k) => (k === 0 ? normRows(xs, dy, node.shape.at(-1), 0, 1, 1) : undefined),
  "layer_norm: ε outside the root": ({ node, xs, set }, k, right) => {
    if (k !== 0) return undefined;
    const n = node.shape.at(-1), factors = range(right.length / n).map((r) => { const { variance } = moments(xs[0].subarray(r * n, r * n + n), 0); return Math.sqrt(variance + set.epsilon) / (Math.sqrt(variance) + set.epsilon); });
    return right.map((x, i) => x * factors[Math.floor(i / n)]);
  },
  "layer_norm: no gain": ({ node, xs, dy, set }, k) => (k === 0 ? normRows([xs[0], xs[1].map(() => 1)], dy, node.shape.at(-1), set.epsilon, 1, 1) : undefined),
  "layer_norm: γ by the input": ({ xs, dy }, k, right) => { if (k !== 1) return undefined; const dx = right.map(() => 0); for (let i = 0; i < dy.length; i++) dx[i % dx.length] += xs[0][i] * dy[i]; return dx; },
  "layer_norm: no row sum": ({ dy }, k, right) => (k === 2 ? dy.slice(0, right.length) : undefined),
  "cross_entropy: no smoothing": ({ xs, dy, node, set }) => lossGradient(xs[0], dy[0], N[node.inputs[0]].shape.at(-1), { ...set, smoothing: 0 }),
  "cross_entropy: ε over V − 1": ({ node, dy, set }, k, right) => {
    const v = N[node.inputs[0]].shape.at(-1), w = set.weight * dy[0], even = set.smoothing / v, others = set.smoothing / (v - 1);
    return right.map((x, i) => { const target = set.targets[Math.floor(i / v)]; return target === set.ignore ? 0 : x + w * (i % v === target ? even : even - others); });
  },
  "cross_entropy: padding counts": ({ xs, dy, node, set }) => lossGradient(xs[0], dy[0], N[node.inputs[0]].shape.at(-1), { ...set, ignore: null }),
  "cross_entropy: sum for a mean": ({ xs, dy, node, set }) => lossGradient(xs[0], dy[0], N[node.inputs[0]].shape.at(-1), { ...set, weight: 1 }),
  "cross_entropy: no label": ({ node, dy, set }, k, right) => {
    const v = N[node.inputs[0]].shape.at(-1), w = set.weight * dy[0];
    return right.map((x, i) => { const target = set.targets[Math.floor(i / v)]; return x + (target !== set.ignore && i % v === target ? w * (1 - set.smoothing) : 0); });
  },
};
const lessOf = ({ node, xs, dy, set }, k, alpha, beta) => { const n = node.shape.at(-1); return k === 0 ? normRows(xs, dy, n, set.epsilon, alpha, beta(n)) : undefined; };
/** A number as bfloat16 keeps it, cut off. */
function truncated(x) { const view = new DataView(new ArrayBuffer(4)); view.setFloat32(0, x); view.setUint16(2, 0); return view.getFloat32(0); }
/** The entries of each transposed matrix, in the memory of the matrix. */
function transposedMemory(x, shape) {
  const last = shape.length - 1, order = shape.map((_, axis) => axis);
  order[last] = last - 1; order[last - 1] = last;
  return permuted(x, shape, order);
}

/** A wrong setting gives the settings of a node, or `null` where it changes none. Forward and backward pass are wrong together. */
const SETTINGS = {
  "masked_softmax: off by one": (node) => remasked(node, (row) => { const last = row.lastIndexOf(true); if (last >= 0 && last + 1 < row.length) row[last + 1] = true; }),
  "masked_softmax: inverted": (node) => remasked(node, (row) => row.forEach((kept, j) => { row[j] = !kept; })),
  "masked_softmax: even where nothing is kept": (node) => remasked(node, (row) => { if (!row.includes(true)) row.fill(true); }),
  "permute: heads not merged": (node) => { const shape = N[node.inputs[0]].shape; return String(node.set.order) === "0,2,1,3" && shape[1] < shape[2] ? { ...node.set, order: [0, 1, 2, 3] } : null; },
};
/** The settings of a masked softmax whose flags are changed, row by row. */
function remasked(node, change) {
  const keep = keepOf(node.set, node.shape), n = node.shape.at(-1);
  const rows = range(size(node.shape) / n).map((r) => range(n).map((j) => keep(r * n + j)));
  const before = String(rows);
  rows.forEach(change);
  return String(rows) === before ? null : { ...node.set, keep: rows.flat().map((kept) => (kept ? "1" : "0")).join("") };
}
