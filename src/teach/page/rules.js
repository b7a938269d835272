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
  d: (x) => M.row(M.i("d"), M.i(x)),
  at: (x, ...i) => M.sub(M.i(x), M.row(...i.map(M.i))),
  paren: (...xs) => M.row(M.o("("), ...xs, M.o(")")),
  hat: (x) => `<mover>${M.i(x)}<mo>^</mo></mover>`,
  all: (...xs) => `<math display="inline">${M.row(...xs)}</math>`,
};
const EQ = M.o("="), PLUS = M.o("+"), MINUS = M.o("−"), DOT = M.o("·"), ADDS = M.o("+="), HAD = M.o("∘");

/** The rule of a node as `{ forward, backward: [for each input] }`. */
function rule(id) {
  const { op, set } = N[id];
  const x = M.i("x"), y = M.i("y"), dx = M.d("x"), dy = M.d("y");
  const rc = (name) => M.at(name, "r", "c");
  switch (op) {
    case "add": return { forward: M.all(y, EQ, M.i("a"), PLUS, M.i("b")), backward: [M.all(M.d("a"), ADDS, dy), M.all(M.d("b"), ADDS, dy)] };
    case "sub": return { forward: M.all(y, EQ, M.i("a"), MINUS, M.i("b")), backward: [M.all(M.d("a"), ADDS, dy), M.all(M.d("b"), ADDS, MINUS, dy)] };
    case "mul": return { forward: M.all(y, EQ, M.i("a"), HAD, M.i("b")), backward: [M.all(M.d("a"), ADDS, dy, HAD, M.i("b")), M.all(M.d("b"), ADDS, dy, HAD, M.i("a"))] };
    case "scale": return { forward: M.all(y, EQ, M.i("k"), DOT, x, M.o(","), M.i("k"), EQ, M.n(num(set.factor, 6))), backward: [M.all(dx, ADDS, M.i("k"), DOT, dy)] };
    case "embedding": return { forward: M.all(M.at("y", "r"), EQ, M.sub(M.i("E"), M.sub(M.i("id"), M.i("r")))), backward: [M.all(M.d(""), M.sub(M.i("E"), M.sub(M.i("id"), M.i("r"))), ADDS, M.i("d"), M.at("y", "r"))] };
    case "dropout": return {
      forward: M.all(y, EQ, M.frac(M.row(M.i("m"), HAD, x), M.row(M.n(1), MINUS, M.i("p"))), M.o(","), M.i("p"), EQ, M.n(num(set.p))),
      backward: [M.all(dx, ADDS, M.frac(M.row(M.i("m"), HAD, dy), M.row(M.n(1), MINUS, M.i("p"))))],
    };
    case "linear": return {
      forward: M.all(y, EQ, x, DOT, M.sup(M.i("W"), M.i("T")), PLUS, M.i("b"), M.o(":"), rc("y"), EQ, M.sum("j"), M.at("x", "r", "j"), M.at("W", "c", "j"), PLUS, M.at("b", "c")),
      backward: [M.all(dx, ADDS, dy, DOT, M.i("W")), M.all(M.d("W"), ADDS, M.sup(M.d("y"), M.i("T")), DOT, x), M.all(M.at("db", "c"), ADDS, M.sum("r"), M.i("d"), rc("y"))],
    };
    case "matmul": return set?.tb ? {
      forward: M.all(M.i("C"), EQ, M.i("A"), DOT, M.sup(M.i("B"), M.i("T"))),
      backward: [M.all(M.d("A"), ADDS, M.d("C"), DOT, M.i("B")), M.all(M.d("B"), ADDS, M.sup(M.d("C"), M.i("T")), DOT, M.i("A"))],
    } : {
      forward: M.all(M.i("C"), EQ, M.i("A"), DOT, M.i("B")),
      backward: [M.all(M.d("A"), ADDS, M.d("C"), DOT, M.sup(M.i("B"), M.i("T"))), M.all(M.d("B"), ADDS, M.sup(M.i("A"), M.i("T")), DOT, M.d("C"))],
    };
    case "softmax": case "masked_softmax": return {
      forward: M.all(rc("A"), EQ, M.frac(M.sup(M.i("e"), rc("S")), M.row(M.sub(M.o("∑"), M.row(M.i("j"), op === "softmax" ? "" : M.row(M.o(" "), M.i(t("kept_word"))))), M.sup(M.i("e"), M.at("S", "r", "j"))))),
      backward: [M.all(M.d("S"), ADDS, M.i("A"), HAD, M.paren(M.d("A"), MINUS, M.i("rowsum"), M.paren(M.i("A"), HAD, M.d("A"))))],
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
      forward: M.all(M.i("L"), EQ, M.i("w"), M.sum("r"), M.paren(M.paren(M.n(1), MINUS, M.i("ε")), M.paren(M.sub(M.i("lse"), M.i("r")), MINUS, M.sub(M.i("x"), M.row(M.i("r"), M.i("t")))), PLUS, M.i("ε"), M.paren(M.sub(M.i("lse"), M.i("r")), MINUS, M.i("mean"), M.paren(M.at("x", "r"))))),
      backward: [M.all(dx, ADDS, M.i("w"), DOT, M.paren(M.i("softmax"), M.paren(x), MINUS, M.paren(M.n(1), MINUS, M.i("ε")), DOT, M.i("onehot"), M.paren(M.i("t")), MINUS, M.frac(M.i("ε"), M.i("V"))))],
    };
    case "reshape": case "permute": return { forward: M.all(y, EQ, M.i(op), M.paren(x)), backward: [M.all(dx, ADDS, M.sup(M.i(op), M.row(MINUS, M.n(1))), M.paren(dy))] };
    default: return { forward: null, backward: [] };
  }
}

/** What the operands of an op are called in its rule. */
function symbols(id) {
  const inputs = { add: ["a", "b"], sub: ["a", "b"], mul: ["a", "b"], linear: ["x", "W", "b"], matmul: ["A", "B"], softmax: ["S"], masked_softmax: ["S"], layer_norm: ["x", "γ", "β"], embedding: ["E"], cross_entropy: ["x"] }[N[id].op] || ["x", "x₂", "x₃"];
  const output = { matmul: "C", softmax: "A", masked_softmax: "A", cross_entropy: "L" }[N[id].op] || "y";
  return { inputs, output };
}
