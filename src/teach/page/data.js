// The record: nodes, and their tensors decoded when they are first wanted.

const R = JSON.parse(document.getElementById("record").textContent);
const N = R.nodes;

/** Base64 of little-endian bytes, after a letter for their type, as numbers. */
function decode(text) {
  const raw = atob(text.slice(1)), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return text[0] === "d" ? new Float64Array(bytes.buffer) : Float64Array.from(new Float32Array(bytes.buffer));
}

/** The type in which a tensor is stored. */
const typeOf = (text) => (text && text[0] === "d" ? "f64" : "f32");

const size = (shape) => shape.reduce((a, b) => a * b, 1);
const memo = new Map();
function once(key, make) {
  if (!memo.has(key)) memo.set(key, make());
  return memo.get(key);
}

/** The entries of `data` of `shape` with the axes in another order. */
function permuted(data, shape, order) {
  const out = new Float64Array(data.length);
  const to = order.map((axis) => shape[axis]);
  const stride = shape.map((_, axis) => size(shape.slice(axis + 1)));
  for (let i = 0; i < out.length; i++) {
    let rest = i, from = 0;
    for (let axis = to.length - 1; axis >= 0; axis--) {
      from += (rest % to[axis]) * stride[order[axis]];
      rest = Math.floor(rest / to[axis]);
    }
    out[i] = data[from];
  }
  return out;
}

/** Where entry `i` of a permuted tensor comes from. */
function sourceOf(i, shape, order) {
  const to = order.map((axis) => shape[axis]);
  const stride = shape.map((_, axis) => size(shape.slice(axis + 1)));
  let from = 0;
  for (let axis = to.length - 1; axis >= 0; axis--) {
    from += (i % to[axis]) * stride[order[axis]];
    i = Math.floor(i / to[axis]);
  }
  return from;
}

const inverse = (order) => order.map((_, axis) => order.indexOf(axis));

/** The value of a node in the right pass; what only moves numbers is read off its input. `null` where the page has none. */
function rightValue(id) {
  return once("v" + id, () => {
    const node = N[id];
    if (node.v) return decode(node.v);
    const from = node.inputs[0];
    if (node.op === "reshape") return rightValue(from);
    if (node.op === "permute") {
      const x = rightValue(from);
      return x && permuted(x, N[from].shape, node.set.order);
    }
    if (BY_ENTRY.includes(node.op)) {
      const xs = node.inputs.map(rightValue);
      return xs.every(Boolean) ? computed(id, xs, node.set) : null;
    }
    return null;
  });
}
/** Ops whose numbers a large page leaves out and computes. */
const BY_ENTRY = ["add", "sub", "scale", "dropout", "relu", "gelu", "silu"];
/** What such an op adds to the gradient of `id`, by its rule. */
const handedOn = (id, from) => contribution(null, from, id, rightGrad(from), rightValue, (of) => N[of].set);

/** Whether the page holds what the tape has at a node, there or where its numbers only come from. */
function tapeHas(id, gradient) {
  const moves = (id) => ["reshape", "permute"].includes(N[id].op);
  if (gradient) { while (!N[id].g && N[id].terms.length === 1 && moves(N[id].terms[0].from)) id = N[id].terms[0].from; return Boolean(N[id].g); }
  while (!N[id].v && moves(id)) id = N[id].inputs[0];
  return Boolean(N[id].v);
}
/** Whether it holds what `from` adds to the gradient of `id`. */
const tapeHasTerm = (id, from) => Boolean(N[id].terms.find((t) => t.from === from)?.g) || (N[id].terms.length === 1 && tapeHas(id, true));

/** The gradient of a node in the right pass. */
function rightGrad(id) {
  return once("g" + id, () => {
    const node = N[id];
    if (node.g) return decode(node.g);
    if (node.gnorm === null || node.terms.length !== 1) return null;
    const reader = node.terms[0].from;
    const dy = rightGrad(reader);
    if (!dy) return null;
    if (leftOut(id)) return weightGradient(reader, dy);
    if (N[reader].op === "reshape") return dy;
    if (N[reader].op === "permute") return permuted(dy, N[reader].shape, inverse(N[reader].set.order));
    return BY_ENTRY.includes(N[reader].op) ? handedOn(id, reader) : null;
  });
}

/** Whether the tape's gradient of a weight is left out of the page, which computes it. */
function leftOut(id) {
  const node = N[id], reader = node.terms.length === 1 ? N[node.terms[0].from] : null;
  return !node.g && reader !== null && reader.op === "linear" && reader.inputs[1] === id;
}

/** dW = dyᵀ·x of a linear node, where the page leaves the tape's out. */
function weightGradient(id, dy, x = rightValue(N[id].inputs[0])) {
  const [outputs, inner] = N[N[id].inputs[1]].shape;
  if (!x) return null;
  const dw = new Float64Array(outputs * inner);
  for (let row = 0; row < dy.length / outputs; row++)
    for (let o = 0; o < outputs; o++) {
      const d = dy[row * outputs + o];
      if (d !== 0) for (let j = 0; j < inner; j++) dw[o * inner + j] += d * x[row * inner + j];
    }
  return dw;
}

/** What `from` adds to the gradient of `id` in the right pass. */
function rightTerm(id, from) {
  const found = N[id].terms.find((t) => t.from === from);
  if (!found) return null;
  if (found.g) return once(`t${id}.${from}`, () => decode(found.g));
  if (N[id].terms.length === 1) return rightGrad(id);
  return BY_ENTRY.includes(N[from].op) && size(N[from].shape) === size(N[id].shape) ? once(`t${id}.${from}`, () => handedOn(id, from)) : null;
}

// What is shown is the pass with the planted bug, where there is one.

/** The value of a node. */
const value = (id) => { const wrong = replayed(); return wrong?.values.has(id) ? wrong.values.get(id) : rightValue(id); };
/** The gradient of a node. */
const grad = (id) => { const wrong = replayed(); return wrong?.grads.has(id) ? wrong.grads.get(id) : rightGrad(id); };
/** What `from` adds to the gradient of `id`. */
const term = (id, from) => { const wrong = replayed(), key = `${id}.${from}`; return wrong?.terms.has(key) ? wrong.terms.get(key) : rightTerm(id, from); };
/** The norm of a gradient: the tape's own, or that of the pass with the planted bug. `null` where none is known. */
const gradNorm = (id) => { const wrong = replayed(); if (!wrong?.grads.has(id)) return N[id].gnorm; const g = wrong.grads.get(id); return g ? length(g) : null; };
const termNorm = (id, from) => { const wrong = replayed(), key = `${id}.${from}`; if (!wrong?.terms.has(key)) return N[id].terms.find((t) => t.from === from)?.norm ?? null; const g = wrong.terms.get(key); return g ? length(g) : null; };
const valueNorm = (id) => { const wrong = replayed(); if (!wrong?.values.has(id)) return N[id].norm; const v = wrong.values.get(id); return v ? length(v) : null; };

/** The stored text of a value or a gradient, also where it is read off another node. */
function storedText(id, gradient) {
  let node = N[id];
  if (gradient) while (!node.g && node.terms.length === 1) node = N[node.terms[0].from];
  else while (!node.v && node.inputs.length) node = N[node.inputs[0]];
  return gradient ? node.g : node.v;
}
/** How far roundings alone may take apart what is computed of these numbers, as a part of the largest: `[id, gradient]`. */
const rounding = (...of) => (of.every(([id, gradient]) => "de".includes((storedText(id, gradient) || "f")[0])) ? 1e-10 : 1e-6);

/** The type in which the value or the gradient of a node is stored, also where it is read off another node. */
function storedAs(id, gradient) {
  const wrong = replayed();
  if (wrong && (gradient ? wrong.grads : wrong.values).has(id)) return t("replayed_type");
  return gradient && leftOut(id) ? t("computed_here") : tapeHas(id, gradient) ? typeOf(storedText(id, gradient)) : t("computed_type");
}

/** A node as a matrix: rows of words, columns of features or words; leading axes are `layers` of it. */
function matrix(id) {
  return once("m" + id, () => {
    const shape = N[id].shape;
    if (shape.length === 0) return { layers: 1, rows: 1, cols: 1 };
    if (shape.length === 1) return { layers: 1, rows: 1, cols: shape[0] };
    // [B, T, H, d], before the heads are moved to the front, is [T, H·d] to the eye.
    if (N[id].op === "reshape" || (N[id].op === "permute" && N[N[id].inputs[0]].op !== "reshape"))
      return { layers: 1, rows: shape[1], cols: size(shape.slice(2)) };
    const [rows, cols] = shape.slice(-2);
    return { layers: size(shape.slice(0, -2)), rows, cols };
  });
}

const words = R.words;
const show = (word) => (word === "" ? "∅" : word.replace("▁", "␣"));
/** The names of the rows (0) or columns (1) of a node, where they are words. */
function names(id, axis) {
  if (!words || N[id].shape.length < 2) return null;
  const side = N[id].sides[axis];
  if (side === "S") return words.source.map(show);
  if (side === "T") return words.target_in.map(show);
  return null;
}
/** The name of an entry of the vocabulary. */
const token = (id) => show(words?.vocabulary[id] ?? words?.named?.[id] ?? `${id}`);

/** `#24 scores`, the short name of a node. */
const nick = (id) => `#${id} ${N[id].label || N[id].op}`;
/** The whole path: `encoder.layers.0.self_attn.scores`. */
function pathOf(id) {
  const node = N[id];
  if (node.op === "param") return node.path;
  return [node.path, node.label || node.op].filter(Boolean).join(".");
}

/** Where each node stands in the reverse sweep. */
const sweepAt = new Map(R.sweep.map((id, k) => [id, k]));

/** What the page shows. All but what a reader types lies in the address too. */
const state = {
  language: "en", tab: "tape", node: 0, time: 0, playing: 0,
  head: 0, block: 0, scale: "head", colour: "linear", cell: null, bug: null, norm: null,
  film: 0, filmHead: 0, row: null, tour: null, quiz: null, showTerm: null,
};
