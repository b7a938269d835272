// Heat maps: signed numbers on one diverging scale, blue below zero, white at zero, orange above.

const heats = new Map();
const STOPS = [[8, 48, 107], [33, 113, 181], [107, 174, 214], [198, 219, 239], [255, 255, 255],
  [253, 208, 162], [253, 141, 60], [217, 72, 1], [127, 39, 4]];

/** The colour of `x` in [−1, 1]. */
function colour(x) {
  const at = (Math.max(-1, Math.min(1, x)) + 1) / 2 * (STOPS.length - 1);
  const k = Math.min(STOPS.length - 2, Math.floor(at));
  const mix = STOPS[k].map((c, i) => Math.round(c + (STOPS[k + 1][i] - c) * (at - k)));
  return `rgb(${mix})`;
}
/** Small numbers are told apart too. */
const spread = (x) => Math.sign(x) * Math.sqrt(Math.abs(x));

/**
 * A heat map. `at(r, c)` is a number, or `null` for a cell that stands for nothing; `hatch(r, c)` marks masked cells;
 * `pick(r, c)` is called with the cell that was chosen. `key` names it, so that others can outline parts of it.
 */
function heat({ key, title, note, rows, cols, at, rowNames, colNames, hatch, pick, wide, type, sums, roof, said }) {
  const small = window.innerWidth < 600;
  const cell = Math.max(cols > 200 ? 3 : 7, Math.min(22, Math.floor((wide || (small ? 320 : 300)) / cols)));
  const high = cols > 60 && rows < 30 ? Math.max(cell, 12) : rows === 1 ? Math.max(cell, 16) : Math.max(cell, Math.min(14, cell * 3));
  const left = rowNames ? 56 : rows > 1 ? 22 : 4;
  const top = colNames || roof ? 46 : 4;
  // Names of columns lean to the right, over the last one.
  const right = sums ? 64 : colNames ? 16 : 2;
  const width = left + cols * cell + right, height = top + rows * high + 4;
  let most = 0;
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) { const x = at(r, c); if (x !== null && Math.abs(x) > most) most = Math.abs(x); }
  const canvas = el("canvas", {
    tabindex: 0, role: "img", "data-key": key,
    "aria-label": `${title}: ${rows} × ${cols}, ${t("largest")} ${num(most)}. ${pick ? t("heat_keys") : ""}`,
  });
  const ratio = Math.max(2, window.devicePixelRatio || 1);
  canvas.width = width * ratio; canvas.height = height * ratio;
  canvas.style.width = `${width}px`; canvas.style.height = `${height}px`;
  const readout = el("div.readout", {}, " ");
  const self = { key, rows, cols, outlines: [], cursor: null, draw, outline, canvas };

  function draw() {
    const g = canvas.getContext("2d");
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    g.font = "10px system-ui, sans-serif";
    g.textBaseline = "middle";
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < cols; c++) {
        const x = at(r, c), X = left + c * cell, Y = top + r * high;
        g.fillStyle = x === null ? "#eee" : most === 0 ? "#fff" : colour(spread(x / most));
        g.fillRect(X, Y, cell, high);
        if (hatch && hatch(r, c)) {
          g.strokeStyle = "#767676"; g.lineWidth = 0.8; g.beginPath();
          g.moveTo(X, Y + high); g.lineTo(X + cell, Y);
          g.moveTo(X, Y + high / 2); g.lineTo(X + cell / 2, Y);
          g.moveTo(X + cell / 2, Y + high); g.lineTo(X + cell, Y + high / 2); g.stroke();
        }
      }
      g.fillStyle = "#333";
      if (rowNames) { g.textAlign = "right"; g.fillText(clip(rowNames[r] || ""), left - 4, top + r * high + high / 2); }
      else if (rows > 1 && r % 5 === 0) { g.textAlign = "right"; g.fillText(String(r), left - 4, top + r * high + high / 2); }
      if (sums) { g.textAlign = "left"; g.fillText(num(sums(r), 2), left + cols * cell + 4, top + r * high + high / 2); }
    }
    if (colNames) {
      g.textAlign = "left";
      for (let c = 0; c < cols; c++) {
        g.save(); g.translate(left + c * cell + cell / 2, top - 4); g.rotate(-Math.PI / 3);
        g.fillStyle = "#333"; g.fillText(clip(colNames[c] || "", 7), 0, 0); g.restore();
      }
    }
    g.strokeStyle = "#999"; g.lineWidth = 1; g.strokeRect(left - 0.5, top - 0.5, cols * cell + 1, rows * high + 1);
    for (const { r0, r1, c0, c1 } of self.outlines) {
      g.strokeStyle = "#000"; g.lineWidth = 3.5; g.strokeRect(left + c0 * cell, top + r0 * high, (c1 - c0) * cell, (r1 - r0) * high);
      g.strokeStyle = "#ffd400"; g.lineWidth = 1.8; g.strokeRect(left + c0 * cell, top + r0 * high, (c1 - c0) * cell, (r1 - r0) * high);
    }
    if (self.cursor) {
      const [r, c] = self.cursor;
      g.strokeStyle = "#000"; g.lineWidth = 2; g.strokeRect(left + c * cell + 0.5, top + r * high + 0.5, cell - 1, high - 1);
    }
  }
  function outline(boxes) { self.outlines = boxes; draw(); }
  function say(r, c) {
    const row = rowNames ? rowNames[r] : `${r}`, col = colNames ? colNames[c] : said ? said[c] : `${c}`;
    const x = at(r, c);
    readout.textContent = `[${row}, ${col}] = ${x === null ? "?" : num(x, 6)}${hatch && hatch(r, c) ? " · " + t("masked") : ""}`;
  }
  function place(e) {
    const box = canvas.getBoundingClientRect();
    const c = Math.floor((e.clientX - box.left - left) / cell), r = Math.floor((e.clientY - box.top - top) / high);
    return r >= 0 && r < rows && c >= 0 && c < cols ? [r, c] : null;
  }
  canvas.addEventListener("mousemove", (e) => { const p = place(e); if (p) say(...p); });
  canvas.addEventListener("click", (e) => { const p = place(e); if (p) { self.cursor = p; draw(); say(...p); if (pick) pick(...p); } });
  canvas.addEventListener("focus", () => { self.cursor = self.cursor || [0, 0]; draw(); say(...self.cursor); });
  canvas.addEventListener("keydown", (e) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
    const [r, c] = self.cursor || [0, 0];
    if (step) {
      self.cursor = [Math.max(0, Math.min(rows - 1, r + step[0])), Math.max(0, Math.min(cols - 1, c + step[1]))];
      draw(); say(...self.cursor); announce(readout.textContent); e.preventDefault(); e.stopPropagation();
    } else if ((e.key === "Enter" || e.key === " ") && pick) { pick(r, c); e.preventDefault(); e.stopPropagation(); }
  });
  draw();
  heats.set(key, self);
  const bar = el("span.bar", { "aria-hidden": "true" });
  return el("figure.heat", { "data-heat": key },
    el("figcaption", {}, el("b", {}, title), note ? el("span.note", {}, " " + note) : null),
    el("div.scroll", {}, canvas),
    el("div.scale", {}, bar, `±${num(most, 3)}`, type ? el("span.type", {}, type) : null, readout));
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
  if (!data) return el("figure.heat", {}, el("figcaption", {}, el("b", {}, options.title || nick(id))), el("p.missing", {}, t(N[id].gnorm === null && kind !== "v" ? "no_gradient" : "left_out")));
  const limit = Math.min(rows, options.rows || (rows > 64 ? 24 : 64));
  const keep = softmaxKeep(id);
  return heat({
    key, title: options.title || nick(id), note: options.note, rows: limit, cols,
    at: (r, c) => data[(layer * rows + r) * cols + c],
    rowNames: names(id, 0), colNames: names(id, 1), said: cols === words?.vocabulary.length ? words.vocabulary.map(show) : null,
    hatch: options.hatch || (keep ? (r, c) => !keep(layer, r, c) : null),
    pick: options.pick ? (r, c) => options.pick((layer * rows + r) * cols + c, r, c) : null,
    type: options.type || storedAs(id, kind !== "v"), wide: options.wide, sums: options.sums, roof: options.roof,
  });
}

/** For a node with the shape of attention weights: which cells its softmax keeps. */
function softmaxKeep(id) {
  const block = R.blocks.find((b) => [b.scores, b.weights, b.dropped, b.products].includes(id));
  const set = block && N[block.weights].set;
  if (!set || !set.keep) return null;
  const shape = N[id].shape, [rows, cols] = shape.slice(-2);
  return (_, r, c) => set.keep[(set.keep.length === rows * cols ? r * cols + c : c)] === "1";
}
