// The address holds all that the page shows, so that a page can be opened again, and Back undoes.

const START = { ...state };

/** The state as the part of the address after `#`. What is as at the start is left out. */
function address() {
  const fields = new URLSearchParams();
  const put = (name, given, usual) => { if (given !== null && given !== usual) fields.set(name, given); };
  fields.set("tab", state.tab);
  fields.set("node", state.node);
  fields.set("phase", backward() ? "backward" : "forward");
  fields.set("step", backward() ? state.time - FORWARD + 1 : state.time + 1);
  fields.set("head", state.head + 1);
  fields.set("block", state.block + 1);
  fields.set("scale", state.scale);
  fields.set("language", state.language);
  put("colour", state.colour, "linear");
  put("bug", state.bug === null ? null : bugName(R.bugs[state.bug]));
  put("norm", state.norm);
  put("row", state.row);
  put("terms", state.showTerm);
  put("frame", state.film, 0);
  put("filmhead", state.filmHead + 1, 1);
  put("tour", state.tour === null ? null : state.tour + 1);
  if (state.cell) { const { kind, id, k, i, name } = state.cell; fields.set("cell", [kind, name, id, k, i].filter((x) => x !== undefined).join(".")); }
  return fields.toString();
}

/** The state of an address; what it does not say is as at the start, and what fits no page like this is passed over. */
function stateOf(text) {
  const fields = new URLSearchParams(text), found = { ...START, language: state.language };
  const number = (name, from, most) => { const x = Number(fields.get(name)); return fields.has(name) && Number.isInteger(x) && x >= from && x < from + most ? x - from : null; };
  if (TABS[fields.get("tab")]) found.tab = fields.get("tab");
  if (["en", "zh"].includes(fields.get("language"))) found.language = fields.get("language");
  if (["head", "model", "none"].includes(fields.get("scale"))) found.scale = fields.get("scale");
  if (fields.get("colour") === "root") found.colour = "root";
  found.node = number("node", 0, N.length) ?? found.node;
  const step = number("step", 1, fields.get("phase") === "backward" ? R.sweep.length : FORWARD);
  found.time = step === null ? found.node : fields.get("phase") === "backward" ? FORWARD + step : step;
  found.head = number("head", 1, 1000) ?? found.head;
  found.block = number("block", 1, R.blocks.length) ?? found.block;
  const bug = R.bugs.findIndex((bug) => bugName(bug) === fields.get("bug"));
  found.bug = bug < 0 ? null : bug;
  found.norm = number("norm", 0, N.length); found.row = number("row", 0, 10000); found.showTerm = number("terms", 0, 1000);
  found.film = number("frame", 0, R.film?.length || 0) ?? 0; found.filmHead = number("filmhead", 1, 1000) ?? 0;
  found.tour = number("tour", 1, tourSteps().length);
  found.cell = cellOfAddress(fields.get("cell"));
  return found;
}

function cellOfAddress(text) {
  const [kind, ...rest] = (text || "").split(".");
  const name = kind === "d" ? rest.shift() : undefined, [id, second, third] = rest.map(Number);
  const cell = kind === "b" ? { kind, id, k: second, i: third } : kind === "d" ? { kind, name, id, i: second } : { kind, id, i: second };
  const of = kind === "b" ? N[id]?.inputs[cell.k] : id;
  return "vgbd".includes(kind) && kind && N[of] && (kind !== "d" || DERIVED[name]) && Number.isInteger(cell.i) && cell.i >= 0 ? (kind === "d" || cell.i < size(N[of].shape) ? cell : null) : null;
}

/** Changes what is shown, draws it, and keeps the address before so that Back undoes. */
function change(to, kind) {
  Object.assign(state, to);
  render();
  remember(kind);
}

/** Steps in time that follow each other at once are one entry of the history; so is a film being played. */
let last = { kind: null, at: 0 }, waiting = null;
function remember(kind = "place") {
  const again = ["time", "film"].includes(kind) && last.kind === kind && performance.now() - last.at < 1000;
  last = { kind, at: performance.now() };
  clearTimeout(waiting);
  // Browsers refuse many changes in a short time: of steps that follow each other the last one is written.
  if (again || state.playing) waiting = setTimeout(() => write("replaceState"), 200); else write("pushState");
}
function write(how) {
  const to = "#" + address();
  if (location.hash !== to) try { history[how](null, "", to); } catch { /* The page goes on without an entry. */ }
}

/** Follows the address: Back, Forward, or a link that was pasted. */
function follow() {
  if (location.hash !== "#" + address()) open(location.hash.slice(1));
}

/** Shows what an address says. */
function open(text) {
  clearTimeout(waiting);
  const playing = state.playing;
  Object.assign(state, stateOf(text), { quiz: null, playing: 0 });
  if (playing) clearInterval(timer);
  last = { kind: null, at: 0 };
  render();
  if (state.tour !== null) pointAt(); else if (state.cell) reveal();
}
