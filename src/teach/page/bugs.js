// Planted bugs: a wrong rule in one op, the card that turns red, and which checks would have seen it.

/** What a bug is called and what is wrong, in the reader's language. */
const bugTitle = (bug) => (state.language === "zh" && BUGS_ZH[bugName(bug)] ? `${bug.op}：${BUGS_ZH[bugName(bug)][0]}` : bugName(bug));
const bugWhat = (bug) => (state.language === "zh" && BUGS_ZH[bugName(bug)] ? BUGS_ZH[bugName(bug)][1] : bug.what);

function plant(index) {
  const to = { bug: index, cell: null };
  if (index !== null) {
    to.node = R.bugs[index].culprit;
    to.time = sweepAt.has(to.node) ? FORWARD + sweepAt.get(to.node) : to.node;
    // Scales are compared on the right pass alone.
    to.scale = "head"; to.quiz = null;
  }
  change(to);
}

/** One banner for all views: which bug is planted, and that all numbers are those of the pass with it. */
function drawBanner() {
  const place = document.getElementById("banner"), bug = state.bug === null ? null : R.bugs[state.bug], key = `${state.language}/${state.bug}`;
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  place.hidden = !bug;
  place.replaceChildren(...(bug ? [el("b", {}, `${t("planted")}${t("colon")}${bugTitle(bug)}`), ` — ${bugWhat(bug)}${t("stop")}`, t("culprit_is"), " ", nodeLink(bug.culprit), t("stop"), t("bug_maps"), " ", el("button", { id: "heal", onclick: () => plant(null) }, t("heal"))] : []));
}

function bugsView() {
  const groups = new Map();
  R.bugs.forEach((bug, k) => groups.set(bug.op, [...(groups.get(bug.op) || []), k]));
  const menu = el("select", { id: "bug", onchange: (e) => plant(e.target.value === "" ? null : Number(e.target.value)) }, el("option", { value: "", selected: state.bug === null }, t("no_bug")),
    [...groups].map(([op, bugs]) => el("optgroup", { label: op }, bugs.map((k) => el("option", { value: k, selected: k === state.bug }, bugTitle(R.bugs[k]))))));
  const top = el("section.panel", {}, el("h2", {}, t("tab_bugs")), el("p.about", {}, t("bugs_about")), el("label.choice", {}, t("plant_bug") + " ", menu));
  if (state.bug === null) return [top, bugTable()];
  const bug = R.bugs[state.bug], { wrong } = bug, id = bug.culprit, node = N[id];
  const of = wrong.kind === "rule" ? wrong.input : id, { r, c, layer } = cellOf(of, wrong.at);
  const where = `[${names(of, 0)?.[r] ?? r}, ${names(of, 1)?.[c] ?? c}]${matrix(of).layers > 1 ? ` · ${t("head")} ${layer + 1}` : ""}`;
  const tensor = wrong.tensor ? once(`w${state.bug}`, () => decode(wrong.tensor)) : wrong.kind === "rule" ? term(of, id) : wrong.kind === "sum" ? grad(id) : value(id);
  const right = wrong.kind === "rule" ? rightTerm(of, id) : wrong.kind === "sum" ? rightGrad(id) : rightValue(id);
  const map = (key, symbol, data, floor) => nodeHeat(of, "x", { data, key, symbol: t(symbol), title: t(symbol), layer, wide: 260, floor, type: key === "bug-right" ? typeOf(storedText(of, wrong.kind !== "value")) : "f32", pick: (i) => pickCell({ kind: "d", name: key, id: of, i }) });
  const maps = tensor ? el("div.operands", {}, right ? map("bug-right", "right_one", right) : null, map("bug-wrong", "wrong_one", tensor), right ? map("bug-off", "difference_of", tensor.map((x, i) => x - right[i]), 1e-6 * largest(right)) : null) : el("p.missing", {}, t("left_out"));
  const numbers = wrong.kind === "value"
    ? [[t("with_bug"), wrong.wrong], [t("without_bug"), wrong.right], [t("loss_with_bug"), bug.loss], [t("loss_without_bug"), R.loss]]
    : [[t("with_bug"), wrong.wrong], [t("numeric"), wrong.numeric], [t("without_bug"), wrong.right]];
  const item = (name, mark, kind) => el(`li.${kind}`, {}, mark, " ", el("b", {}, name), t("colon"), CHECKS[state.language][name] || "");
  const list = (id, title, names, mark, kind, about) => (names.length ? el("div", {}, el("h3", {}, t(title)), about ? el("p.about", {}, t(about)) : null, el("ul.checks", { id }, names.map((name) => item(name, mark(), kind)))) : null);
  const partly = [...replayed().grads.values(), ...replayed().values.values()].includes(null);
  const statements = once(`broken${state.bug}/${state.language}`, brokenStatements);
  return [top,
    el("section.card.red", { id: "bug-card", "data-node": id, "data-red": "yes" }, el("h2", {}, nodeLink(id, `#${id}`), " ", el("span.mono", {}, pathOf(id)), " ", el("span.badge.wrong", {}, t("wrong_rule"))),
      el("p", {}, el("b", {}, bugTitle(bug)), " — ", bugWhat(bug), t("stop"), node.rule ? [t("right_rule"), " ", el("span.mono", {}, node.rule)] : ""),
      el("p.about", {}, t(wrong.kind === "rule" ? "kind_rule" : wrong.kind === "sum" ? "kind_sum" : "kind_value")),
      el("table", {}, el("caption", {}, t("farthest_cell", { cell: where })), el("tbody", {}, numbers.map(([name, x]) => el("tr", {}, el("td", {}, name), el("td.number", {}, num(x, 8)))))), maps,
      el("p", {}, t("poisoned", { n: bug.poisoned.length, all: N.filter((x) => x.gnorm !== null).length }))),
    panel(t("broken"), `${t(statements.length ? "broken_about" : partly ? "broken_unknown" : "broken_none")}${statements.length && partly ? ` ${t("broken_unknown")}` : ""}`, el("ul.checks", { id: "broken" }, statements.map(([tab, text, to]) => el("li", {}, tick(false), " ", el("button.link", { onclick: () => { change({ tab, cell: null, ...to }); showView(); } }, t("tab_" + tab)), t("colon"), text)))),
    panel(t("who_sees"), t("who_sees_about"), el("div.two", {},
      list("found", "finds_it", bug.found, () => el("span.tick", { "aria-hidden": "true" }, "✓"), "found"),
      list("missed", "misses_it", bug.missed, () => el("span.cross", { "aria-hidden": "true" }, "✗"), "missed"),
      list("idle", "idle", bug.idle, () => el("span.unchecked", { "aria-hidden": "true" }, "–"), "idle", "idle_about")))];
}

// Cells of the three maps.
for (const [key, make] of [["bug-right", (x) => [line([t("without_bug")], x.right)]], ["bug-wrong", (x) => [line([t("with_bug")], x.wrong)]], ["bug-off", (x) => [line([x.entry("bug-wrong", "wrong_one", x.wrong), "−", x.entry("bug-right", "right_one", x.right)], x.wrong - x.right)]]])
  DERIVED[key] = (id, i) => {
    if (state.bug === null) return null;
    const at = (key) => { const { r, c } = cellOf(id, i); return heats.get(key)?.at(r, c) ?? null; }, { r, c } = cellOf(id, i), right = at("bug-right"), wrong = at("bug-wrong");
    const lines = make({ right, wrong, entry: (key, name, x) => entry(key, t(name), r, c, x) });
    return { name: t({ "bug-right": "right_one", "bug-wrong": "wrong_one", "bug-off": "difference_of" }[key]), key, found: { lines, moved: true, note: null }, shown: at(key) };
  };

/** The invariants that the planted bug breaks: `[tab, text, state in which they are seen]`, found as the views find them. */
function brokenStatements() {
  const keep = { ...state }, found = [];
  const look = (tab, to, view) => {
    Object.assign(state, to);
    for (const place of [view()].flat(3).filter(Boolean)) for (const broken of [...place.querySelectorAll("[data-ok='false']"), ...(place.matches?.("[data-ok='false']") ? [place] : [])]) if (broken.dataset.statement && !found.some(([other, text, , id]) => other === tab && id === broken.dataset.statement)) found.push([tab, broken.textContent.replace(/^✗\s*/, ""), to, broken.dataset.statement]);
  };
  const saved = new Map(heats);
  const norms = range(N.length).filter((id) => N[id].op === "layer_norm" && N[id].gnorm !== null);
  R.blocks.forEach((_, block) => look("lab", { block, head: 0 }, labView));
  norms.forEach((norm) => look("norm", { norm }, normView));
  look("flow", {}, () => [zerosPanel()]);
  const sums = R.sweep.filter((id) => N[id].terms.length > 1 && N[id].terms.every(({ from }) => term(id, from)));
  if (R.bugs[state.bug].op === "sweep") sums.slice(0, 1).forEach((node) => look("tape", { node, time: LAST, showTerm: null }, () => [fanOut(node)]));
  Object.assign(state, keep);
  heats.clear();
  for (const [key, h] of saved) heats.set(key, h);
  return found;
}

function bugTable() {
  return panel(t("all_bugs", { n: R.bugs.length }), null, el("div.scroll", {}, el("table.bug-table", {}, el("thead", {}, el("tr", {}, ["op", t("bug"), t("what_is_wrong"), t("finds_it"), ""].map((x) => el("th", {}, x)))),
    el("tbody", {}, R.bugs.map((bug, k) => el("tr", {}, el("td.mono", {}, bug.op), el("td", {}, bugTitle(bug).replace(/^[^:：]*[:：]\s*/, "")), el("td", {}, bugWhat(bug)), el("td", {}, `${bug.found.length} / ${bug.found.length + bug.missed.length}`), el("td", {}, el("button", { onclick: () => plant(k) }, t("plant")))))))));
}
