// Small tools: elements, numbers, words in the language of the reader.

/** The text for `key` in the reader's language, with `{name}` filled in. */
function t(key, fill = {}) {
  const text = (state.language === "zh" ? ZH[key] : EN[key]) ?? EN[key] ?? key;
  return filled(text, fill);
}
const filled = (text, fill) => text.replace(/\{(\w+)\}/g, (_, name) => fill[name] ?? "");

/** An element: `el("button.primary", { onclick }, "text", child)`. */
function el(kind, attributes = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [name, given] of Object.entries(attributes)) {
    if (given === null || given === undefined || given === false) continue;
    if (name === "html") node.innerHTML = given;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), given);
    else if (name === "value") node.value = given;
    else node.setAttribute(name, given === true ? "" : given);
  }
  for (const child of children.flat(4)) if (child !== null && child !== undefined && child !== false) node.append(child);
  return node;
}

/** An SVG element. */
function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, given] of Object.entries(attributes)) if (given !== null) node.setAttribute(name, given);
  for (const child of children.flat(4)) if (child !== null && child !== undefined) node.append(child);
  return node;
}

/** A number to read: four digits, or more where they are asked for. */
function num(x, digits = 4) {
  if (x === null || x === undefined) return "–";
  if (x === 0) return "0";
  if (!Number.isFinite(x)) return String(x);
  const size = Math.abs(x);
  let text;
  if (size >= 1e5 || size < 1e-3) {
    const [mantissa, exponent] = x.toExponential(digits - 1).split("e");
    const small = String(Number(exponent)).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
    text = `${mantissa}·10${small}`;
  } else text = x.toPrecision(digits).replace(/\.?0+$/, (zeros) => (zeros.includes(".") || x.toPrecision(digits).includes(".") ? "" : zeros));
  return text.replace("-", "−");
}

/** The number that a reader has typed: as this page writes it, as programs do, or with a comma. `NaN` where it is none. */
function typed(text) {
  const plain = text.trim().replace(/[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]/g, (c) => "-0123456789"["⁻⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(c)]).replace(/[−–]/g, "-").replace(",", ".")
    .replace(/\s+/g, "").replace(/[·×*]10\^?\(?([-+]?\d+)\)?$/, "e$1");
  return plain === "" ? NaN : Number(plain);
}

const bytes = (n) => (n < 1024 ? `${n} B` : `${(n / 1024).toFixed(1)} KiB`);
const sum = (xs) => { let s = 0; for (const x of xs) s += x; return s; };
const length = (xs) => { let s = 0; for (const x of xs) s += x * x; return Math.sqrt(s); };
const largest = (xs) => { let m = 0; for (const x of xs) if (Math.abs(x) > m) m = Math.abs(x); return m; };
const range = (n) => Array.from({ length: n }, (_, i) => i);
const between = (low, x, high) => Math.max(low, Math.min(high, x));

/** Says something to those who do not see the page: the one live region, which stays. */
function announce(text) { document.getElementById("live").textContent = text; }

/** Shows text in an element that stays, and leaves it alone where it says the same already: live regions repeat what changes. */
function say(place, text) { if (place.textContent !== text) place.textContent = text; }

/** A link to a node. */
function nodeLink(id, text) {
  return el("button.link", { onclick: () => goTo(id), title: pathOf(id) }, text || nick(id));
}

/** A choice among options `[value, text]`. */
function choice(id, label, options, now, choose) {
  const select = el("select", { id, onchange: (e) => choose(e.target.value) },
    options.map(([given, text]) => el("option", { value: given, selected: String(given) === String(now) }, text)));
  return el("label.choice", {}, label + " ", select);
}

/** Buttons of which one is pressed. */
function buttons(name, label, options, now, choose) {
  return el("span.group", { role: "group", "aria-label": label }, el("span.group-label", {}, label),
    options.map(([given, text]) => el("button", {
      "data-name": `${name}-${given}`, "aria-pressed": String(String(given) === String(now)), onclick: () => choose(given),
    }, text)));
}

/** Heads are counted from one, here as on every other page; in the record from zero. */
const headButtons = (name, heads, now, choose) => buttons(name, t("head"), range(heads).map((h) => [h + 1, h + 1]), now + 1, (h) => choose(h - 1));

/** A section with a heading and an explanation. */
function panel(title, about, ...children) {
  return el("section.panel", {}, title ? el("h2", {}, title) : null, about ? el("p.about", {}, about) : null, children);
}

/** A mark for what was checked: ✓ or ✗, in words for those who hear it; `null` where nothing could be checked. */
function tick(ok) {
  if (ok === null) return el("span.unchecked", { role: "img", "aria-label": t("not_checked") }, "–");
  return el(ok ? "span.tick" : "span.cross", { role: "img", "aria-label": t(ok ? "agrees" : "disagrees") }, ok ? "✓" : "✗");
}

/** A statement that the page checks on the numbers it shows: an invariant. `ok` is `null` where its numbers are not known. */
function statement(id, ok, ...text) {
  return el(`p.statement${ok === false ? ".broken" : ""}`, { id, "data-statement": id, "data-ok": ok === null ? "unknown" : String(ok) }, tick(ok), " ", text);
}

/** Round numbers for an axis from `low` to `high`, about `count` of them. */
function ticks(low, high, count = 4) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const marks = [];
  for (let k = Math.ceil(low / step); k * step <= high + 1e-9 * step; k++) marks.push(k * step);
  return marks;
}
