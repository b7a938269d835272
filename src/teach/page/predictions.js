// What the model predicts at every position: the right token, and the three that it gives the most.

function wordsView() {
  const logits = N[R.root].op === "cross_entropy" ? N[R.root].inputs[0] : null, x = logits === null ? null : value(logits), { targets, ignore } = N[R.root].set || {};
  if (!x || !targets) return panel(t("tab_words"), t(logits === null ? "no_words" : "not_replayed"));
  const v = N[logits].shape.at(-1), p = softmaxRows(x, v, null), rows = range(targets.length).filter((r) => targets[r] !== ignore);
  const of = rows.map((r) => {
    const row = p.subarray(r * v, (r + 1) * v), order = range(v).sort((a, b) => row[b] - row[a]).slice(0, 3);
    return { r, right: targets[r], p: row[targets[r]], order: order.map((id) => [id, row[id]]) };
  });
  const first = of.filter((x) => x.order[0][0] === x.right).length, sure = of.filter((x) => x.p > 0.9).length, mean = sum(of.map((x) => -Math.log(x.p))) / Math.max(1, of.length);
  const bar = (p, right) => el("span.meter", {}, el("span.fill", { style: `width:${100 * p}%;background:${right ? "#5aae61" : "#b8b8b8"}` }));
  return el("section.panel", { id: "predictions", "data-first": first, "data-sure": sure, "data-positions": of.length }, el("h2", {}, t("tab_words")), el("p.about", {}, t("words_about")),
    el("p", {}, t("words_said", { n: of.length, first, sure, x: num(mean, 4) })), el("div.scroll", {}, el("table.predictions", {}, el("thead", {}, el("tr", {}, ["", t("reads"), t("should_say"), t("p_right"), "1", "2", "3"].map((x) => el("th", {}, x)))),
      el("tbody", {}, of.map(({ r, right, p, order }) => el("tr", { class: order[0][0] === right ? null : "off" }, el("td", {}, r), el("td.word", {}, words ? show(words.target_in[r] ?? "") : ""), el("td.word", {}, token(right)), el("td.number", {}, num(p, 4)),
        order.map(([id, p]) => el("td.guess", {}, el("span.word", {}, token(id)), " ", num(p, 3), id === right ? " ✓" : "", el("br"), bar(p, id === right)))))))),
    el("p", {}, t("words_node"), " ", nodeLink(logits)));
}
