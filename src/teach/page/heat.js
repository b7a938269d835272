// Heat maps: signed numbers on one diverging scale, blue below zero, white at zero, orange above.

const heats = new Map();
const STOPS = [[8, 48, 107], [33, 113, 181], [107, 174, 214], [198, 219, 239], [255, 255, 255],
  [253, 208, 162], [253, 141, 60], [217, 72, 1], [127, 39, 4]];

/** The colour of `x` in [−1, 1], as red, green, blue. */
function colour(x) {
  const at = (Math.max(-1, Math.min(1, x)) + 1) / 2 * (STOPS.length - 1);
  const k = Math.min(STOPS.length - 2, Math.floor(at));
  return STOPS[k].map((c, i) => Math.round(c + (STOPS[k + 1][i] - c) * (at - k)));
}
const PALETTE = range(1025).map((i) => colour((i - 512) / 512));
/** The place of `x` on the scale: linear, or by square roots, which tell small numbers apart. */
const spread = (x) => (state.colour === "root" ? Math.sign(x) * Math.sqrt(Math.abs(x)) : x);

/** Rows of a map that are drawn at once; of a longer table a window is shown, which follows what is outlined. */
const WINDOW = 1000;

/**
 * A heat map. `at(r, c)` is a number, or `null` for a cell that stands for nothing; `hatch(r, c)` marks masked cells;
 * `pick(r, c)` is called with the cell that was chosen. `key` names it, so that others can outline parts of it; `symbol` is
 * what the arithmetic calls it. `floor` is the least that the end of the colour scale stands for.
 */
function heat({ key, symbol, title, note, rows, cols, at, rowNames, colNames, hatch, pick, wide, type, sums, roof, said, floor }) {
  const small = window.innerWidth < 600, shown = Math.min(rows, WINDOW);
  const cell = Math.max(cols > 200 ? 3 : 7, Math.min(22, Math.floor((wide || (small ? 320 : 300)) / cols)));
  const high = rows > 64 ? 4 : cols > 60 && rows < 30 ? Math.max(cell, 12) : rows === 1 ? Math.max(cell, 16) : Math.max(cell, Math.min(14, cell * 3));
  const left = rowNames ? 56 : rows > 1 ? 30 : 4;
  const top = colNames || roof ? 46 : 4;
  // Names of columns lean to the right, over the last one.
  const right = sums ? 64 : colNames ? 16 : 2;
  const width = left + cols * cell + right, height = top + shown * high + 4;
  let most = 0, first = 0;
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) { const x = at(r, c); if (x !== null && Math.abs(x) > most) most = Math.abs(x); }
  const end = Math.max(most, floor || 0);
  const canvas = el("canvas", {
    tabindex: 0, role: "img", "data-key": key,
    "aria-label": `${title}: ${rows} × ${cols}, ${t("largest")} ${num(most)}. ${pick ? t("heat_keys") : ""}`,
  });
  const ratio = Math.max(2, window.devicePixelRatio || 1);
  canvas.width = width * ratio; canvas.height = height * ratio;
  canvas.style.width = `${width}px`; canvas.style.height = `${height}px`;
  const readout = el("div.readout", {}, " ");
  const scroll = el(height > 420 ? "div.scroll.tall-map" : "div.scroll", {}, canvas);
  const self = { key, symbol: symbol || title, rows, cols, at, pick, outlines: [], cursor: null, draw, outline, canvas, readout, placeOf };
  let picture = null;

  /** One pixel for every cell. */
  function painted() {
    const image = new ImageData(cols, shown), pixels = image.data;
    for (let r = 0, k = 0; r < shown; r++) for (let c = 0; c < cols; c++, k += 4) {
      const x = at(first + r, c), rgb = x === null ? [238, 238, 238] : PALETTE[end === 0 ? 512 : Math.round(512 + 512 * spread(between(-1, x / end, 1)))];
      pixels[k] = rgb[0]; pixels[k + 1] = rgb[1]; pixels[k + 2] = rgb[2]; pixels[k + 3] = 255;
    }
    const small = document.createElement("canvas");
    small.width = cols; small.height = shown;
    small.getContext("2d").putImageData(image, 0, 0);
    return small;
  }
  function draw() {
    const g = canvas.getContext("2d");
    picture ||= painted();
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    g.imageSmoothingEnabled = false;
    g.drawImage(picture, left, top, cols * cell, shown * high);
    g.font = "10px system-ui, sans-serif";
    g.textBaseline = "middle";
    if (hatch) {
      g.strokeStyle = "#767676"; g.lineWidth = 0.8; g.beginPath();
      for (let r = 0; r < shown; r++) for (let c = 0; c < cols; c++) if (hatch(first + r, c)) {
        const X = left + c * cell, Y = top + r * high;
        g.moveTo(X, Y + high); g.lineTo(X + cell, Y); g.moveTo(X, Y + high / 2); g.lineTo(X + cell / 2, Y); g.moveTo(X + cell / 2, Y + high); g.lineTo(X + cell, Y + high / 2);
      }
      g.stroke();
    }
    g.fillStyle = "#333";
    const every = high >= 10 ? 5 : 25;
    for (let r = 0; r < shown; r++) {
      const Y = top + r * high + high / 2;
      if (rowNames) { g.textAlign = "right"; g.fillText(clip(rowNames[first + r] || ""), left - 4, Y); }
      else if (rows > 1 && (first + r) % every === 0) { g.textAlign = "right"; g.fillText(String(first + r), left - 4, Y); }
      if (sums) { g.textAlign = "left"; g.fillText(num(sums(first + r), 2), left + cols * cell + 4, Y); }
    }
    if (colNames) {
      g.textAlign = "left";
      for (let c = 0; c < cols; c++) {
        g.save(); g.translate(left + c * cell + cell / 2, top - 4); g.rotate(-Math.PI / 3);
        g.fillText(clip(colNames[c] || "", 7), 0, 0); g.restore();
      }
    }
    g.strokeStyle = "#999"; g.lineWidth = 1; g.strokeRect(left - 0.5, top - 0.5, cols * cell + 1, shown * high + 1);
    for (const [width, colour] of [[3.5, "#000"], [1.8, "#ffd400"]]) for (const { r0, r1, c0, c1 } of self.outlines) {
      const from = Math.max(r0, first), to = Math.min(r1, first + shown);
      if (from < to) { g.strokeStyle = colour; g.lineWidth = width; g.strokeRect(left + c0 * cell, top + (from - first) * high, (c1 - c0) * cell, (to - from) * high); }
    }
    if (self.cursor) {
      const [r, c] = self.cursor;
      g.strokeStyle = "#000"; g.lineWidth = 2; g.strokeRect(left + c * cell + 0.5, top + (r - first) * high + 0.5, cell - 1, high - 1);
    }
  }
  /** Outlines parts of the map, and scrolls it to the first of them. */
  function outline(boxes) {
    self.outlines = boxes;
    if (boxes.length) {
      const [{ r0, r1, c0, c1 }] = boxes;
      if (rows > shown && r1 - r0 < shown && (r0 < first || r1 > first + shown)) { first = between(0, r0 - Math.floor(shown / 2), rows - shown); picture = null; }
      const x = left + (c0 + c1) / 2 * cell, y = top + ((r0 + r1) / 2 - first) * high;
      if (c1 - c0 < cols) scroll.scrollLeft = x - scroll.clientWidth / 2;
      if (r1 - r0 < rows) scroll.scrollTop = y - scroll.clientHeight / 2;
    }
    draw();
  }
  /** Where a cell stands in the window. */
  function placeOf(r, c) {
    const box = canvas.getBoundingClientRect();
    return { x: box.left + left + (c + 0.5) * cell, y: box.top + top + (r - first + 0.5) * high };
  }
  function tell(r, c) {
    const row = rowNames?.[r], col = colNames ? colNames[c] : said?.[c];
    const where = [row, col].filter((x) => x !== undefined && x !== null && x !== "").join(" → ");
    const x = at(r, c);
    readout.textContent = `${self.symbol}[${rows === 1 ? c : `${r},${c}`}] = ${x === null ? "?" : num(x, 6)}${where ? ` · ${where}` : ""}${hatch && hatch(r, c) ? " · " + t("masked") : ""}`;
  }
  function place(e) {
    const box = canvas.getBoundingClientRect();
    const c = Math.floor((e.clientX - box.left - left) / cell), r = Math.floor((e.clientY - box.top - top) / high) + first;
    return r >= first && r < first + shown && c >= 0 && c < cols ? [r, c] : null;
  }
  canvas.addEventListener("mousemove", (e) => { const p = place(e); if (p) tell(...p); });
  canvas.addEventListener("click", (e) => { const p = place(e); if (p) { self.cursor = p; draw(); tell(...p); if (pick) pick(...p); } });
  canvas.addEventListener("focus", () => { self.cursor = self.cursor || [first, 0]; draw(); tell(...self.cursor); });
  canvas.addEventListener("keydown", (e) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
    const [r, c] = self.cursor || [first, 0];
    if (step) {
      self.cursor = [between(0, r + step[0], rows - 1), between(0, c + step[1], cols - 1)];
      draw(); tell(...self.cursor); announce(readout.textContent); e.preventDefault(); e.stopPropagation();
    } else if ((e.key === "Enter" || e.key === " ") && pick) { pick(r, c); e.preventDefault(); e.stopPropagation(); }
  });
  draw();
  heats.set(key, self);
  return el("figure.heat", { "data-heat": key, "data-symbol": self.symbol },
    el("figcaption", {}, el("b", {}, title), note ? el("span.note", {}, " " + note) : null),
    scroll,
    el("div.scale", {}, num(-end, 3), el("span.bar", { "aria-hidden": "true" }), num(end, 3), state.colour === "root" ? el("span.type", {}, t("scale_root")) : null, type ? el("span.type", {}, type) : null, readout));
}
const clip = (text, most = 9) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

/** Takes all outlines away. */
function clearOutlines() { for (const h of heats.values()) if (h.outlines.length) h.outline([]); }

/** A heat map of a node's value ("v"), gradient ("g"), or what `from` adds to its gradient ("t"). */
function nodeHeat(id, kind, options = {}) {
  const data = options.data || (kind === "v" ? value(id) : kind === "g" ? grad(id) : term(id, options.from));
  const { layers, rows, cols } = matrix(id);
  const layer = Math.min(options.layer ?? state.head, layers - 1);
  const key = options.key || `${kind}${id}${kind === "t" ? "." + options.from : ""}`;
  if (!data) return el("figure.heat", {}, el("figcaption", {}, el("b", {}, options.title || nick(id))), el("p.missing", {}, t(N[id].gnorm === null && kind !== "v" ? "no_gradient" : replayed() ? "not_replayed" : "left_out")));
  const keep = softmaxKeep(id);
  return heat({
    key, symbol: options.symbol, title: options.title || nick(id), note: options.note, rows, cols,
    at: (r, c) => data[(layer * rows + r) * cols + c],
    rowNames: names(id, 0), colNames: names(id, 1), said: words && cols === words.vocabulary.length ? words.vocabulary.map(show) : null,
    hatch: options.hatch || (keep ? (r, c) => !keep(layer, r, c) : null),
    pick: options.pick ? (r, c) => options.pick((layer * rows + r) * cols + c, r, c) : null,
    type: options.type || storedAs(id, kind !== "v"), wide: options.wide, sums: options.sums, roof: options.roof,
    floor: options.floor ?? (kind === "v" ? 0 : cancelled(id)),
  });
}

/** For a gradient that is zero by mathematics: the size of what cancels, beside which its roundings are no colour. */
function cancelled(id) {
  if (!N[id].verdict?.zero || !N[id].terms.length) return 0;
  const dy = grad(N[id].terms[0].from);
  return dy ? largest(dy) : 0;
}

/** For a node with the shape of attention weights: which cells its softmax should keep. */
function softmaxKeep(id) {
  const block = R.blocks.find((b) => [b.scores, b.weights, b.dropped, b.products].includes(id));
  const set = block && N[block.weights].set;
  if (!set || !set.keep) return null;
  const shape = N[id].shape, [rows, cols] = shape.slice(-2), keep = keepOf(set, shape);
  return (layer, r, c) => keep((layer * rows + r) * cols + c);
}
