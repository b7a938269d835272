// The rule of every op in mathematics (MathML): forward, and backward for each input.

const M = {
  i: (x) => `<mi>${x}</mi>`,
  n: (x) => `<mn>${x}</mn>`,
  o: (x) => `<mo>${x}</mo>`,
  row: (...xs) => `<mrow>${xs.join("")}</mrow>`,
  sub: (a, b) => `<msub>${M.row(a)}${M.row(b)}</msub>`,
  sup: (a, b) => `<msup>${M.row(a)}${M.row(b)}</msup>`,
  frac: (a, b) => `<mfrac>${M.row(a)}${M.row(b)}</mfrac>`,
  root: (a) => `<msqrt>${a}</msqrt>`,
  sum: (i) => `<munder><mo>∑</mo>${M.i(i)}</munder>`,
  d: (x) => M.i("d" + x),
  at: (x, ...i) => M.sub(M.i(x), M.row(...i.map(M.i))),
  paren: (...xs) => M.row(M.o("("), ...xs, M.o(")")),
  hat: (x) => `<mover>${M.i(x)}<mo>^</mo></mover>`,
  all: (...xs) => `<math display="inline">${M.row(...xs)}</math>`,
};
const EQ = M.o("="), PLUS = M.o("+"), MINUS = M.o("−"), DOT = M.o("·"), ADDS = M.o("+="), HAD = M.o("∘");

/** The nodes of attention by the names that papers give them: Q, K, P = QKᵀ, S = P/√d, A, Ã after dropout, V, O. */
const ROLES = new Map();
for (const block of R.blocks) {
  const roles = { q: "Q", k: "K", v: "V", products: "P", scores: "S", weights: "A", context: "O" };
  for (const [part, name] of Object.entries(roles)) ROLES.set(block[part], name);
  if (block.dropped !== block.weights) ROLES.set(block.dropped, "Ã");
}

/** What the operands and the result of an op are called, in its rule, over its maps and in its arithmetic. */
function symbols(id) {
  const { op, inputs } = N[id];
  const plain = { add: ["a", "b"], sub: ["a", "b"], mul: ["a", "b"], linear: ["x", "W", "b"], matmul: ["A", "B"], softmax: ["S"], masked_softmax: ["S"], layer_norm: ["x", "γ", "β"], embedding: ["E"], cross_entropy: ["x"] }[op] || ["x", "x₂", "x₃"];
  const output = ROLES.get(id) || { matmul: "C", softmax: "A", masked_softmax: "A", cross_entropy: "L" }[op] || "y";
  return { inputs: inputs.map((input, k) => ROLES.get(input) || plain[k] || `x${k + 1}`), output };
}

/** The rule of a node as `{ forward, backward: [for each input] }`. */
function rule(id) {
  const { op, set } = N[id], { inputs, output } = symbols(id);
  const [a, b] = inputs, y = M.i(output), x = M.i(a), dx = M.d(a), dy = M.d(output);
  const T = (of) => M.sup(of, M.i("T"));
  switch (op) {
    case "add": return { forward: M.all(y, EQ, x, PLUS, M.i(b)), backward: [M.all(dx, ADDS, dy), M.all(M.d(b), ADDS, dy)] };
    case "sub": return { forward: M.all(y, EQ, x, MINUS, M.i(b)), backward: [M.all(dx, ADDS, dy), M.all(M.d(b), ADDS, MINUS, dy)] };
    case "mul": return { forward: M.all(y, EQ, x, HAD, M.i(b)), backward: [M.all(dx, ADDS, dy, HAD, M.i(b)), M.all(M.d(b), ADDS, dy, HAD, x)] };
    case "scale": return { forward: M.all(y, EQ, M.i("k"), DOT, x, M.o(","), M.i("k"), EQ, M.n(num(set.factor, 6))), backward: [M.all(dx, ADDS, M.i("k"), DOT, dy)] };
    case "embedding": return { forward: M.all(M.at(output, "r"), EQ, M.sub(x, M.sub(M.i("id"), M.i("r")))), backward: [M.all(M.sub(dx, M.sub(M.i("id"), M.i("r"))), ADDS, M.sub(dy, M.i("r")))] };
    case "dropout": return {
      forward: M.all(y, EQ, M.frac(M.row(M.i("m"), HAD, x), M.row(M.n(1), MINUS, M.i("p"))), M.o(","), M.i("p"), EQ, M.n(num(set.p))),
      backward: [M.all(dx, ADDS, M.frac(M.row(M.i("m"), HAD, dy), M.row(M.n(1), MINUS, M.i("p"))))],
    };
    case "linear": return {
      forward: M.all(y, EQ, x, DOT, T(M.i(b)), ...(inputs.length > 2 ? [PLUS, M.i(inputs[2])] : []), M.o(":"), M.at(output, "r", "c"), EQ, M.sum("j"), M.at(a, "r", "j"), M.at(b, "c", "j"), ...(inputs.length > 2 ? [PLUS, M.at(inputs[2], "c")] : [])),
      backward: [M.all(dx, ADDS, dy, DOT, M.i(b)), M.all(M.d(b), ADDS, T(dy), DOT, x), M.all(M.sub(M.d("b"), M.i("c")), ADDS, M.sum("r"), M.sub(dy, M.row(M.i("r"), M.i("c"))))],
    };
    case "matmul": return set?.tb ? {
      forward: M.all(y, EQ, x, DOT, T(M.i(b))),
      backward: [M.all(dx, ADDS, dy, DOT, M.i(b)), M.all(M.d(b), ADDS, T(dy), DOT, x)],
    } : {
      forward: M.all(y, EQ, x, DOT, M.i(b)),
      backward: [M.all(dx, ADDS, dy, DOT, T(M.i(b))), M.all(M.d(b), ADDS, T(x), DOT, dy)],
    };
    case "softmax": case "masked_softmax": return {
      forward: M.all(M.at(output, "r", "c"), EQ, M.frac(M.sup(M.i("e"), M.at(a, "r", "c")), M.row(M.sub(M.o("∑"), M.row(M.i("j"), op === "softmax" ? "" : M.row(M.o(" "), M.i(t("kept_word"))))), M.sup(M.i("e"), M.at(a, "r", "j"))))),
      backward: [M.all(dx, ADDS, y, HAD, M.paren(dy, MINUS, M.i("rowsum"), M.paren(y, HAD, dy)))],
    };
    case "layer_norm": return {
      forward: M.all(y, EQ, M.i("γ"), HAD, M.hat("x"), PLUS, M.i("β"), M.o(","), M.hat("x"), EQ, M.frac(M.row(x, MINUS, M.i("μ")), M.root(M.row(M.sup(M.i("σ"), M.n(2)), PLUS, M.i("ε"))))),
      backward: [
        M.all(dx, ADDS, M.frac(M.n(1), M.root(M.row(M.sup(M.i("σ"), M.n(2)), PLUS, M.i("ε")))), M.paren(M.i("g"), MINUS, M.i("mean"), M.paren(M.i("g")), MINUS, M.hat("x"), DOT, M.i("mean"), M.paren(M.i("g"), HAD, M.hat("x"))), M.o(","), M.i("g"), EQ, M.i("γ"), HAD, dy),
        M.all(M.d("γ"), ADDS, M.sum("r"), dy, HAD, M.hat("x")), M.all(M.d("β"), ADDS, M.sum("r"), dy)],
    };
    case "relu": return { forward: M.all(y, EQ, M.i("max"), M.paren(x, M.o(","), M.n(0))), backward: [M.all(dx, ADDS, dy, M.o(" "), M.i(t("where_word")), M.o(" "), x, M.o("&gt;"), M.n(0))] };
    case "gelu": return { forward: M.all(y, EQ, M.i("gelu"), M.paren(x)), backward: [M.all(dx, ADDS, dy, HAD, M.sup(M.i("gelu"), M.o("′")), M.paren(x))] };
    case "silu": return { forward: M.all(y, EQ, x, DOT, M.i("σ"), M.paren(x)), backward: [M.all(dx, ADDS, dy, HAD, M.paren(M.i("σ"), PLUS, x, DOT, M.i("σ"), M.paren(M.n(1), MINUS, M.i("σ"))))] };
    case "cross_entropy": return {
      forward: M.all(y, EQ, M.i("w"), DOT, M.sum("r"), M.at("ℓ", "r"), M.o(","), M.at("ℓ", "r"), EQ, M.paren(M.n(1), MINUS, M.i("ε")), M.paren(M.at("lse", "r"), MINUS, M.at(a, "r", "t")), PLUS, M.i("ε"), M.paren(M.at("lse", "r"), MINUS, M.i("mean"), M.paren(M.at(a, "r")))),
      backward: [M.all(dx, ADDS, M.i("w"), DOT, dy, DOT, M.paren(M.i("p"), MINUS, M.paren(M.n(1), MINUS, M.i("ε")), DOT, M.i("onehot"), M.paren(M.i("t")), MINUS, M.frac(M.i("ε"), M.i("V"))), M.o(","), M.i("p"), EQ, M.i("softmax"), M.paren(x))],
    };
    case "reshape": case "permute": return { forward: M.all(y, EQ, M.i(op), M.paren(x)), backward: [M.all(dx, ADDS, M.sup(M.i(op), M.row(MINUS, M.n(1))), M.paren(dy))] };
    default: return { forward: null, backward: [] };
  }
}
