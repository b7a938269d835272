// Planted bugs: a wrong rule in one op, the card that turns red, and which checks would have seen it.

function plant(index) {
  state.bug = index;
  for (const key of [...memo.keys()]) if (key.startsWith("b")) memo.delete(key);
  state.cell = null;
  if (index !== null) {
    state.node = R.bugs[index].culprit;
    state.time = sweepAt.has(state.node) ? FORWARD + sweepAt.get(state.node) : state.node;
  }
  render();
}

function bugBanner(bug) {
  return el("p.warning", { role: "status", id: "bug-banner" }, `${t("planted")}: `, el("b", {}, `${bug.op}: ${bug.name}`), ". ", t("culprit_is"), " ", nodeLink(bug.culprit), ". ", t("bug_maps"), " ", el("button", { onclick: () => plant(null) }, t("heal")));
}

function bugsView() {
  const groups = new Map();
  R.bugs.forEach((bug, k) => groups.set(bug.op, [...(groups.get(bug.op) || []), k]));
  const menu = el("select", { id: "bug", onchange: (e) => plant(e.target.value === "" ? null : Number(e.target.value)) }, el("option", { value: "", selected: state.bug === null }, t("no_bug")),
    [...groups].map(([op, bugs]) => el("optgroup", { label: op }, bugs.map((k) => el("option", { value: k, selected: k === state.bug }, `${op}: ${R.bugs[k].name}`)))));
  const top = el("section.panel", {}, el("h2", {}, t("tab_bugs")), el("p.about", {}, t("bugs_about")), el("label.choice", {}, t("plant_bug") + " ", menu));
  if (state.bug === null) return [top, bugTable()];
  const bug = R.bugs[state.bug], { wrong } = bug, id = bug.culprit, node = N[id];
  const of = wrong.kind === "rule" ? wrong.input : id, { r, c } = cellOf(of, wrong.at);
  const where = `[${names(of, 0)?.[r] ?? r}, ${names(of, 1)?.[c] ?? c}]`;
  const tensor = wrong.tensor && once(`w${state.bug}`, () => decode(wrong.tensor));
  const right = wrong.kind === "rule" ? rightTerm(of, id) : wrong.kind === "sum" ? grad(id) : value(id);
  const layers = matrix(of).layers, layer = cellOf(of, wrong.at).layer;
  const maps = tensor ? el("div.operands", {},
    right ? nodeHeat(of, "x", { data: right, key: "bug-right", title: t("right_one"), layer, wide: 260 }) : null,
    nodeHeat(of, "x", { data: tensor, key: "bug-wrong", title: t("wrong_one"), layer, wide: 260 }),
    right ? nodeHeat(of, "x", { data: tensor.map((x, i) => x - right[i]), key: "bug-off", title: t("difference_of"), layer, wide: 260 }) : null) : el("p.missing", {}, t("left_out"));
  queueMicrotask(() => { if (!layers || heats.has("bug-wrong")) for (const key of ["bug-right", "bug-wrong", "bug-off"]) heats.get(key)?.outline([one(key, of, wrong.at)]); });
  const numbers = wrong.kind === "value"
    ? [[t("with_bug"), wrong.wrong], [t("without_bug"), wrong.right], [t("loss_with_bug"), bug.loss], [t("loss_without_bug"), R.loss]]
    : [[t("with_bug"), wrong.wrong], [t("numeric"), wrong.numeric], [t("without_bug"), wrong.right]];
  const badge = (name, found) => el(`li.${found ? "found" : "missed"}`, {}, tick(found), " ", el("b", {}, name), ": ", CHECKS[state.language][name] || "");
  return [top,
    el("section.card.red", { id: "bug-card", "data-node": id, "data-red": "yes" }, el("h2", {}, nodeLink(id, `#${id}`), " ", el("span.mono", {}, pathOf(id)), " ", el("span.badge.wrong", {}, t("wrong_rule"))),
      el("p", {}, el("b", {}, `${bug.op}: ${bug.name}`), " — ", bug.what, ". ", node.rule ? [t("right_rule"), " ", el("span.mono", {}, node.rule)] : ""),
      el("p.about", {}, t(wrong.kind === "rule" ? "kind_rule" : wrong.kind === "sum" ? "kind_sum" : "kind_value")),
      el("table", {}, el("caption", {}, t("farthest_cell", { cell: where })), el("tbody", {}, numbers.map(([name, x]) => el("tr", {}, el("td", {}, name), el("td.number", {}, num(x, 8)))))), maps,
      el("p", {}, t("poisoned", { n: bug.poisoned.length, all: N.filter((x) => x.gnorm !== null).length }))),
    panel(t("who_sees"), t("who_sees_about"), el("div.two", {},
      el("div", {}, el("h3", {}, t("finds_it")), el("ul.checks", { id: "found" }, bug.found.map((name) => badge(name, true)))),
      el("div", {}, el("h3", {}, t("misses_it")), el("ul.checks", { id: "missed" }, bug.missed.map((name) => badge(name, false))))))];
}

/** What the right rule adds, whatever bug is planted. */
function rightTerm(of, from) {
  const found = N[of].terms.find((x) => x.from === from);
  if (found?.g) return decode(found.g);
  return N[of].terms.length === 1 ? grad(of) : null;
}

function bugTable() {
  return panel(t("all_bugs", { n: R.bugs.length }), null, el("div.scroll", {}, el("table", {}, el("thead", {}, el("tr", {}, ["op", t("bug"), t("what_is_wrong"), t("finds_it"), ""].map((x) => el("th", {}, x)))),
    el("tbody", {}, R.bugs.map((bug, k) => el("tr", {}, el("td.mono", {}, bug.op), el("td", {}, bug.name), el("td", {}, bug.what), el("td", {}, `${bug.found.length} / ${bug.found.length + bug.missed.length}`), el("td", {}, el("button", { onclick: () => plant(k) }, t("plant")))))))));
}
