// The record: nodes, and their tensors decoded when they are first wanted.

const R = JSON.parse(document.getElementById("record").textContent);
const N = R.nodes;

/** Base64 of little-endian bytes, after a letter for their type, as numbers. */
function decode(text) {
  const bytes = Uint8Array.from(atob(text.slice(1)), (c) => c.charCodeAt(0));
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

/** The value of a node; what only moves numbers is read off its input. `null` where the page has none. */
function value(id) {
  return once("v" + id, () => {
    const node = N[id];
    if (node.v) return decode(node.v);
    const from = node.inputs[0];
    if (node.op === "reshape") return value(from);
    if (node.op === "permute") {
      const x = value(from);
      return x && permuted(x, N[from].shape, node.set.order);
    }
    return null;
  });
}

/** The gradient of a node. */
function grad(id) {
  return once("g" + id, () => {
    const node = N[id];
    if (node.g) return decode(node.g);
    if (node.gnorm === null || node.terms.length !== 1) return null;
    const reader = node.terms[0].from;
    const dy = grad(reader);
    if (!dy) return null;
    if (N[reader].op === "linear" && N[reader].inputs[1] === id) return weightGradient(reader, dy);
    if (N[reader].op === "reshape") return dy;
    if (N[reader].op === "permute") return permuted(dy, N[reader].shape, inverse(N[reader].set.order));
    return null;
  });
}

/** dW = dyᵀ·x of a linear node, where the page leaves the tape's out. */
function weightGradient(id, dy) {
  const x = value(N[id].inputs[0]), [outputs, inner] = N[N[id].inputs[1]].shape;
  if (!x) return null;
  const dw = new Float64Array(outputs * inner);
  for (let row = 0; row < dy.length / outputs; row++)
    for (let o = 0; o < outputs; o++) {
      const d = dy[row * outputs + o];
      if (d !== 0) for (let j = 0; j < inner; j++) dw[o * inner + j] += d * x[row * inner + j];
    }
  return dw;
}

/** What `from` adds to the gradient of `id`. */
function term(id, from) {
  const found = N[id].terms.find((t) => t.from === from);
  if (!found) return null;
  if (state.bug !== null) {
    const bug = R.bugs[state.bug];
    if (bug.culprit === from && bug.wrong.kind === "rule" && bug.wrong.input === id && bug.wrong.tensor)
      return once(`b${state.bug}`, () => decode(bug.wrong.tensor));
  }
  if (found.g) return once(`t${id}.${from}`, () => decode(found.g));
  return N[id].terms.length === 1 ? grad(id) : null;
}

/** The type in which the value or the gradient of a node is stored, also where it is read off another node. */
function storedAs(id, gradient) {
  let node = N[id];
  if (gradient) {
    const reader = node.terms.length === 1 && N[node.terms[0].from];
    if (!node.g && reader && reader.op === "linear" && reader.inputs[1] === id) return t("computed_here");
    while (!node.g && node.terms.length === 1) node = N[node.terms[0].from];
    return typeOf(node.g);
  }
  while (!node.v && node.inputs.length) node = N[node.inputs[0]];
  return typeOf(node.v);
}

/** A node as a matrix: rows of words, columns of features or words; leading axes are `layers` of it. */
function matrix(id) {
  const shape = N[id].shape;
  if (shape.length === 0) return { layers: 1, rows: 1, cols: 1 };
  if (shape.length === 1) return { layers: 1, rows: 1, cols: shape[0] };
  // [B, T, H, d], before the heads are moved to the front, is [T, H·d] to the eye.
  if (N[id].op === "reshape" || (N[id].op === "permute" && N[N[id].inputs[0]].op !== "reshape"))
    return { layers: 1, rows: shape[1], cols: size(shape.slice(2)) };
  const [rows, cols] = shape.slice(-2);
  return { layers: size(shape.slice(0, -2)), rows, cols };
}

const words = R.words;
const show = (word) => (word === "" ? "∅" : word.replace("▁", "␣"));
/** The names of the rows (0) or columns (1) of a node, where they are words. */
function names(id, axis) {
  if (!words) return null;
  const side = N[id].sides[axis];
  if (side === "S") return words.source.map(show);
  if (side === "T") return words.target_in.map(show);
  return null;
}

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

const state = {
  language: "en", tab: "tape", node: 0, time: 0, playing: 0,
  head: 0, block: 0, scale: "head", cell: null, bug: null, norm: null,
  film: 0, filmHead: 0, row: null, tour: null, quiz: null, showTerm: null,
};
