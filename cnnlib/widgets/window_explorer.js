// The view of the Window Explorer. Python sends one picture: grids of written numbers, their
// layout, the formula. This module fits it into the page, draws it, and lights up what belongs
// together. It computes places (which window reads which cell), never a number.
//
// Read from the bottom: `render` starts everything, `draw` draws a picture, `light` lights up.

const TITLE = 40; // height of the two lines above a grid
const GAP = 12; // between the rows of a stack
const SIGN = 30; // width of a sign between two grids
const LARGEST = 42; // side of a cell, in pixels
const LEGIBLE = 17; // smallest height of a cell with a number

// ---- Places -------------------------------------------------------------------------------------

// The input rectangle [row, column, height, width] of the window at output place (p, q).
const windowAt = (g, p, q) => [p * g.S - g.P, q * g.S - g.P, g.FH, g.FW];

// All output places whose window reads input cell (row, column), and as which of its elements.
function readers(g, row, column) {
  const along = (place, filter, count) => {
    const found = [];
    for (let k = 0; k < count; k++) {
      const inside = place + g.P - k * g.S;
      if (inside >= 0 && inside < filter) found.push([k, inside]);
    }
    return found;
  };
  return along(row, g.FH, g.OH).flatMap(([p, i]) =>
    along(column, g.FW, g.OW).map(([q, j]) => ({ p, q, i, j })));
}

const range = (n) => [...Array(n).keys()];
const divmod = (k, n) => [Math.floor(k / n), k % n];
const at = (name, ...index) => `${name}[${index.join(", ")}]`;

// ---- What lights up: one function for each mode --------------------------------------------------
// Each takes the cell in question and returns {marks, lines}. A mark is [grid, row, column,
// height, width, kind], counted without padding; kinds are "window" (outlined), "cell" (strong)
// and "linked". `say` writes a number of a grid in the colour of its role.

function convolution(g, { kind, channel, row, column }, say) {
  if (kind === "x") {
    const found = readers(g, row, column);
    return {
      marks: [[`x${channel}`, row, column, 1, 1, "cell"],
        ...found.map(({ i, j }) => [`W${channel}`, i, j, 1, 1, "linked"]),
        ...found.map(({ p, q }) => ["out", p, q, 1, 1, "window"])],
      lines: [`${say.called(`x${channel}`, row, column)} goes into ${count(found.length, "output")}`
        + list(found.map(({ p, q, i, j }) => `·${say(`W${channel}`, i, j)} → ${at("", p, q)}`))],
    };
  }
  if (kind === "W") {
    const cells = range(g.OH * g.OW).map((k) => windowAt(g, ...divmod(k, g.OW)));
    return { marks: [[`W${channel}`, row, column, 1, 1, "cell"],
      ...cells.map(([r, c]) => [`x${channel}`, r + row, c + column, 1, 1, "linked"])],
    lines: [`${say.called(`W${channel}`, row, column)} is used in ${count(g.OH * g.OW, "window")}`] };
  }
  if (kind === "b") {
    return { marks: [["b", 0, 0, 1, 1, "cell"], ["out", 0, 0, g.OH, g.OW, "window"]],
      lines: [`The bias ${say("b", 0, 0)} is added to every output`] };
  }
  const [p, q] = kind === "out" ? [row, column] : divmod(say.step, g.OW);
  const [r0, c0] = windowAt(g, p, q);
  const products = (c) => range(g.FH * g.FW).map((k) => {
    const [i, j] = divmod(k, g.FW);
    return `${say(`x${c}`, r0 + i, c0 + j)}·${say(`W${c}`, i, j)}`;
  }).join(" + ");
  const bias = !g.grids.b || say.number("b", 0, 0) === "0" ? "" : ` + ${say("b", 0, 0)} (bias)`;
  const total = `= ${say.plain("out", p, q)}`;
  const sum = (c) => `<span class="role-output">${g.sums[c][p * g.OW + q]}</span>`;
  return {
    place: p * g.OW + q,
    marks: [...range(g.C).map((c) => [`x${c}`, ...windowAt(g, p, q), "window"]),
      ["out", p, q, 1, 1, "cell"]],
    lines: g.C === 1
      ? [`${at("out", p, q)} = ${products(0)}${bias} ${total}`]
      : [...range(g.C).map((c) => `sum[${c}] = ${products(c)} = ${sum(c)}`),
        `${at("out", p, q)} = ${range(g.C).map(sum).join(" + ")}${bias} ${total}`],
  };
}

function pooling(g, { kind, channel, row, column }, say) {
  const most = g.mode === "max pooling";
  const winner = (c, p, q) => {
    const [i, j] = divmod(g.winners[c][p * g.OW + q], g.FW);
    const [r, s] = windowAt(g, p, q);
    return [r + i, s + j];
  };
  if (kind === "x") {
    const found = readers(g, row, column);
    const wins = found.filter(({ p, q }) => most
      && String(winner(channel, p, q)) === String([row, column]));
    return {
      marks: [[`x${channel}`, row, column, 1, 1, "cell"],
        ...found.map(({ p, q }) => [`out${channel}`, p, q, 1, 1, "window"]),
        ...wins.map(({ p, q }) => [`out${channel}`, p, q, 1, 1, "linked"])],
      lines: [`${say.called(`x${channel}`, row, column)} is seen by ${count(found.length, "window")}`
        + (most ? `, and becomes the output of ${wins.length}` : "")
        + list(found.map(({ p, q }) => at("", p, q)))],
    };
  }
  const line = (c) => {
    const [r0, c0] = windowAt(g, row, column);
    const numbers = range(g.FH * g.FW).map((k) =>
      (most ? say.plain : say)(`x${c}`, r0 + Math.floor(k / g.FW), c0 + k % g.FW));
    const written = most ? `max(${numbers.join(", ")})` : `(${numbers.join(" + ")}) / ${g.count}`;
    return `${at("out", ...(g.C > 1 ? [c] : []), row, column)} = ${written} = `
      + say.plain(`out${c}`, row, column);
  };
  const channels = channel === "" ? range(g.C) : [channel];
  return {
    place: row * g.OW + column,
    marks: channels.flatMap((c) => [
      [`x${c}`, ...windowAt(g, row, column), "window"],
      ...(most ? [[`x${c}`, ...winner(c, row, column), 1, 1, "cell"]] : []),
      [`out${c}`, row, column, 1, 1, "cell"]]),
    lines: channels.map(line),
  };
}

// Row of the matrix <-> output place; column of the matrix <-> channel and element of the window.
const placeOf = (g, row) => divmod(row, g.OW);
const elementOf = (g, column) => {
  const [channel, k] = divmod(column, g.FH * g.FW);
  return [channel, ...divmod(k, g.FW)];
};
const cellsOf = (g, channel, row, column) => readers(g, row, column).map(({ p, q, i, j }) =>
  [p * g.OW + q, (Number(channel) * g.FH + i) * g.FW + j]);

function matrix(g, { kind, channel, row, column }, say) {
  if (kind === "x" || kind === "reads") {
    const channels = kind === "x" ? [channel] : range(g.C);
    const cells = channels.flatMap((c) => cellsOf(g, c, row, column));
    const rows = cells.slice(0, cells.length / channels.length).map(([r]) => r);
    const times = say.inside("reads", row, column) ? say("reads", row, column) : rows.length;
    return {
      marks: [...channels.map((c) => [`x${c}`, row, column, 1, 1, "cell"]),
        ["reads", row, column, 1, 1, "cell"],
        ...cells.map(([r, k]) => ["col", r, k, 1, 1, "cell"])],
      lines: [`${say.called(`x${channels[0]}`, row, column)} stands ${times} times in col`
        + (rows.length ? `: in row${rows.length > 1 ? "s" : ""} ${rows.join(", ")}` : "")],
    };
  }
  const [p, q] = placeOf(g, row);
  const [c, i, j] = elementOf(g, column ?? 0);
  const [r0, c0] = windowAt(g, p, q);
  const numbers = range(g.C * g.FH * g.FW).map((k) => {
    const [cc, ii, jj] = elementOf(g, k);
    const number = say.plain(`x${cc}`, r0 + ii, c0 + jj);
    return k === column ? `<b>${number}</b>` : number;
  });
  return {
    place: row,
    marks: [...range(g.C).map((cc) => [`x${cc}`, r0, c0, g.FH, g.FW, "window"]),
      ["col", row, 0, 1, g.C * g.FH * g.FW, "window"],
      ...(column == null ? [] : [[`x${c}`, r0 + i, c0 + j, 1, 1, "cell"],
        ["col", row, column, 1, 1, "cell"]])],
    lines: [`Row ${row} of col is the window of ${at("out", p, q)}: ${numbers.join(" ")}`],
  };
}

function backward(g, { kind, channel, row, column }, say) {
  const factor = (c, i, j) => say(`W${c}`, i, j);
  if (kind === "dx") {
    const found = readers(g, row, column);
    const terms = found.map(({ p, q, i, j }) => `${say("dout", p, q)}·${factor(channel, i, j)}`);
    const total = say.inside(`dx${channel}`, row, column) ? ` = ${say.plain(`dx${channel}`, row, column)}`
      : ": padding, dropped";
    return {
      marks: [[`dx${channel}`, row, column, 1, 1, "cell"],
        ...found.map(({ p, q }) => [`dx${channel}`, ...windowAt(g, p, q), "faint"]),
        ...found.map(({ p, q }) => ["dout", p, q, 1, 1, "window"]),
        ...found.map(({ i, j }) => [`W${channel}`, i, j, 1, 1, "linked"]),
        ...cellsOf(g, channel, row, column).map(([r, k]) => ["dcol", r, k, 1, 1, "cell"])],
      lines: [`${at("dx", ...(g.C > 1 ? [channel] : []), row, column)} = `
        + `${terms.join(" + ") || "nothing"}${total} (${count(found.length, "window")}`
        + `${found.length > 1 ? " add up" : ""})`],
    };
  }
  if (kind === "W") {
    const filled = (Number(channel) * g.FH + row) * g.FW + column;
    return { marks: [[`W${channel}`, row, column, 1, 1, "cell"],
      ["dcol", 0, filled, g.OH * g.OW, 1, "window"]],
    lines: [`${say.called(`W${channel}`, row, column)}, times dout, fills one column of dcol`] };
  }
  const [p, q] = kind === "dcol" ? placeOf(g, row) : [row, column];
  const place = p * g.OW + q;
  const [r0, c0] = windowAt(g, p, q);
  const marks = [["dout", p, q, 1, 1, "cell"],
    ["dcol", place, 0, 1, g.C * g.FH * g.FW, "window"],
    ...range(g.C).map((c) => [`dx${c}`, r0, c0, g.FH, g.FW, "window"])];
  if (kind === "dcol") {
    const [c, i, j] = elementOf(g, column);
    marks.push(["dcol", row, column, 1, 1, "cell"], [`W${c}`, i, j, 1, 1, "linked"],
      [`dx${c}`, r0 + i, c0 + j, 1, 1, "cell"]);
  }
  const terms = range(g.C * g.FH * g.FW).map((k) =>
    `${say("dout", p, q)}·${factor(...elementOf(g, k))}`);
  return { place, marks, lines: [`${say.called("dout", p, q)} flows back to its `
    + `window, as row ${place} of dcol: ${terms.join(", ")}`] };
}

const MODES = { convolution, im2col: matrix, backward };
// The grid whose cells are stepped through, and the cell of it that belongs to a step.
const stepped = (g, step) => {
  const [row, column] = g.mode === "im2col" ? [step, null] : divmod(step, g.OW);
  const kind = { im2col: "col", backward: "dout" }[g.mode] ?? "out";
  return { key: g.grids.out0 ? "out0" : kind, kind, channel: "", row, column };
};

const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
const list = (items) => (items.length ? `: ${items.join(", ")}` : "");
const bracketed = (text) => (text.startsWith("−") ? `(${text})` : text);

// ---- Layout: the largest cells with which everything fits -----------------------------------------
// A row is a list of keys and signs; a list inside it is a stack of rows.

// The side of a cell that holds the longest of its numbers.
const needed = (grid) => Math.max(LEGIBLE, grid.letters * 7.6 + 6);

// Width and height of a cell. A small grid keeps its numbers legible among large ones.
function sidesOf(grid, cell, matrix) {
  if (grid.matrix) return matrix;
  const cells = Math.max(grid.rows, grid.columns) + 2 * grid.pad;
  const side = cells * needed(grid) <= 150 ? Math.max(cell, Math.min(needed(grid), LARGEST)) : cell;
  return [side, side];
}

function size(g, item, cell, matrix) {
  if (Array.isArray(item)) {
    const rows = item.map((row) => sizeOfRow(g, row, cell, matrix));
    return [Math.max(...rows.map(([w]) => w)), rows.reduce((sum, [, h]) => sum + h + GAP, -GAP)];
  }
  const grid = g.grids[item];
  if (!grid) return [SIGN, 20];
  const [w, h] = sidesOf(grid, cell, matrix);
  return [Math.max(grid.titleWidth, (grid.columns + 2 * grid.pad) * w),
    TITLE + (grid.rows + 2 * grid.pad) * h];
}

function sizeOfRow(g, row, cell, matrix) {
  const sizes = row.map((item) => size(g, item, cell, matrix));
  return [sizes.reduce((sum, [w]) => sum + w, 0), Math.max(...sizes.map(([, h]) => h))];
}

// Returns the side of a cell, and width and height of a cell of the matrix, if there is one.
function fit(g, width, height) {
  const grids = Object.values(g.grids);
  const tall = grids.find((grid) => grid.matrix);
  for (const legible of [true, false]) {
    const least = legible ? Math.max(...grids.map((grid) => (grid.matrix ? 0 : needed(grid)))) : 1;
    for (let cell = LARGEST; cell >= least; cell -= cell > 8 ? 1 : 0.25) {
      let matrix = [0, 0];
      if (tall) {
        const [others] = sizeOfRow(g, g.layout, cell, matrix);
        matrix = [Math.min(LARGEST, (width - others + tall.titleWidth) / tall.columns),
          Math.min(LARGEST, (height - TITLE) / tall.rows)];
        matrix[1] = Math.min(matrix[1], Math.max(matrix[0], LEGIBLE));
        const enough = legible ? [needed(tall), LEGIBLE] : [3, 0];
        if (matrix[0] < enough[0] || matrix[1] < enough[1]) continue;
      }
      const [w, h] = sizeOfRow(g, g.layout, cell, matrix);
      if (w <= width && h <= height + 0.5) return { cell, matrix };
    }
  }
  return { cell: 1, matrix: [2, 1] };
}

// ---- Drawing -------------------------------------------------------------------------------------

// One grid. Where its numbers are legible every cell is an element; else the numbers are shades on
// a canvas, and a single cell stands where the keyboard is.
function gridHTML(key, grid, w, h, id) {
  const { rows, columns, pad, ring } = grid;
  const [R, C] = [rows + 2 * pad, columns + 2 * pad];
  const [W, H] = [C * w, R * h];
  const written = grid.text != null && w >= needed(grid) - 1 && h >= LEGIBLE - 1;
  Object.assign(grid, { w, h, written });
  const rect = (r, c) => `x="${(c + pad) * w}" y="${(r + pad) * h}" width="${w}" height="${h}"`;
  const write = (r, c, text, kind, font) => `<text class="${kind}" x="${(c + pad + 0.5) * w}" `
    + `y="${(r + pad + 0.5) * h}" font-size="${font}">${text}</text>`;
  const cells = range(written ? rows : 1).map((r) => `<g role="row">${range(written ? columns : 1)
    .map((c) => `<rect role="gridcell" class="${written ? "box" : "cursor"}" tabindex="-1" ${
      rect(r, c)} data-at="${r},${c}" aria-label="${label(grid, r, c)}"/>`).join("")}</g>`);
  const numbers = [];
  if (written) {
    const font = Math.min(w - 4 > grid.letters * 8.4 ? 14 : 12, h - 4);
    const unread = new Set(grid.hatched.map(String));
    for (let r = -pad; r < rows + pad; r++) {
      for (let c = -pad; c < columns + pad; c++) {
        if (r >= 0 && c >= 0 && r < rows && c < columns) {
          numbers.push(write(r, c, grid.text[r * columns + c], "", font));
        } else if (ring && w >= 8 * ring.length && !unread.has(`${r + pad},${c + pad}`)) {
          numbers.push(write(r, c, ring, "ring", 11));
        }
      }
    }
  }
  const lines = (written ? pad > 0 : Math.min(w, h) >= 5)
    ? [...range(C + 1).map((c) => `M${c * w} 0V${H}`), ...range(R + 1).map((r) => `M0 ${r * h}H${W}`)]
    : [];
  const hatch = grid.hatched.map(([r, c]) => `M${c * w} ${r * h}h${w}v${h}h${-w}z`).join("");
  const inner = `x="${pad * w}" y="${pad * h}" width="${columns * w}" height="${rows * h}"`;
  return `<div class="grid role-${grid.role}" style="width:${Math.max(grid.titleWidth, W)}px">
    <div class="title">${grid.name}</div><div class="shape">${grid.subtitle}</div>
    <div class="frame" style="width:${W}px;height:${H}px">
    ${written ? "" : `<canvas width="${columns}" height="${rows}" style="left:${pad * w}px;`
      + `top:${pad * h}px;width:${columns * w}px;height:${rows * h}px"></canvas>`}
    <svg xmlns="http://www.w3.org/2000/svg" width="${W}" height="${H}" role="grid" data-key="${key}"
      aria-rowcount="${rows}" aria-colcount="${columns}"
      aria-label="${grid.name} ${grid.subtitle}${grid.edit ? ", Enter to edit" : ""}">
      ${pad ? `<path class="padding" fill-rule="evenodd" d="M0 0H${W}V${H}H0Z
        M${pad * w} ${pad * h}h${columns * w}v${rows * h}h${-columns * w}z"/>` : ""}
      <path class="lattice${written ? " dashed" : ""}" d="${lines.join("")}"/>
      ${cells.join("")}
      <path class="unread" fill="url(#${id})" d="${hatch}"/><rect class="edge" ${inner}/>
      <g class="marks"></g><g class="numbers" aria-hidden="true">${numbers.join("")}</g>
    </svg></div></div>`;
}

const label = (grid, row, column) => `${grid.name.replace(/ [xWb](?=\[|$)/, "")} row ${row} column ${column}`
  + (grid.text ? `: ${grid.text[row * grid.columns + column]}` : "");

// Numbers as shades of the role's colour, or of two colours if some are negative.
function shade(canvas, grid, colour, signs, hidden) {
  if (!canvas) return;
  const context = canvas.getContext("2d");
  const image = context.createImageData(grid.columns, grid.rows);
  const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
  const colours = (grid.signed ? signs : [colour, colour]).map(rgb);
  for (let k = 0; k < grid.rows * grid.columns; k++) {
    const value = grid.shade.getInt8(k); // -100 to 100
    const opacity = hidden(k) ? 0 : Math.abs(value) * 2.3 + (grid.signed ? 0 : 20);
    image.data.set([...colours[value < 0 ? 0 : 1], opacity], 4 * k);
  }
  context.putImageData(image, 0, 0);
}

// Of one view only: where JupyterLab skips a cell out of sight, a pattern in it is not drawn.
const hatching = (id) => `<svg width="0" height="0" style="position: absolute" aria-hidden="true">
  <pattern id="${id}" width="7" height="7" patternUnits="userSpaceOnUse"
    patternTransform="rotate(45)"><path d="M0 0V7" stroke="#7b8794" stroke-width="2.4"/></pattern>
  </svg>`;

// Where the keyboard is, in a grid without an element for each cell.
function placeCursor(element, grid, row, column, name) {
  const attributes = {
    x: (column + grid.pad) * grid.w, y: (row + grid.pad) * grid.h, width: grid.w, height: grid.h,
    "aria-label": name, "aria-rowindex": row + 1, "aria-colindex": column + 1,
    "data-at": `${row},${column}`,
  };
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

// What writes the numbers of a picture: `say(key, row, column)` in the colour of its role.
function speaker(g, step, hidden) {
  const inside = (key, row, column) => row >= 0 && column >= 0
    && row < g.grids[key].rows && column < g.grids[key].columns;
  const number = (key, row, column) => {
    const { text, columns, ring } = g.grids[key];
    if (hidden(key, row * columns + column)) return "?";
    return inside(key, row, column) ? text?.[row * columns + column] ?? "…" : ring;
  };
  const say = (key, row, column) => `<span class="role-${g.grids[key].role}">`
    + `${bracketed(number(key, row, column))}</span>`;
  const plain = (key, row, column) => say(key, row, column).replace(/[()]/g, "");
  const name = (key, row, column) => {
    const [, tensor, channel] = key.match(/^(\D+)(\d*)$/);
    const index = channel && g.C > 1 ? [channel, row, column] : [row, column];
    return inside(key, row, column) ? `${at(tensor, ...index)} = ${plain(key, row, column)}`
      : `The padding ${say(key, row, column)}`;
  };
  return Object.assign(say, { number, plain, inside, called: name, step });
}

function formulaHTML(g) {
  const offer = ({ setting, label: text, value }) =>
    `<button type="button" data-setting="${setting}" data-value="${value}">${text} ${value}</button>`;
  const axes = g.formula.map(({ letters: formula, numbers, note, offers }) =>
    `<div><div>${formula} = ${numbers}</div>`
    + (note && `<div class="note">${note}${offers.length ? " These divide: " : ""}`
      + `${offers.map(offer).join(" ")}</div>`)
    + "</div>");
  const summary = g.summary.map((line) => `<div>${line}</div>`).join("");
  return `${axes.join("")}<div class="summary">${summary}</div>`;
}

function layoutHTML(g, item, cell, matrix) {
  const rowHTML = (row) =>
    `<div class="row">${row.map((part) => layoutHTML(g, part, cell, matrix)).join("")}</div>`;
  if (Array.isArray(item)) return `<div class="stack">${item.map(rowHTML).join("")}</div>`;
  const grid = g.grids[item];
  if (grid) return gridHTML(item, grid, ...sidesOf(grid, cell, matrix), g.hatching);
  return `<div class="sign${item === "}" ? " brace" : ""}" aria-hidden="true">${item}</div>`;
}

const pen = document.createElement("canvas").getContext("2d");
function textWidth(text, font) {
  pen.font = `${font} "DejaVu Sans", sans-serif`;
  return pen.measureText(text).width;
}

// The sliders of ipywidgets have a visible label, and no name for a screen reader: give them one.
function nameSliders(el) {
  const sliders = el.closest(".cnnlib-window-explorer")?.querySelectorAll(".widget-slider") ?? [];
  for (const slider of sliders) {
    slider.querySelector("[role=slider]")?.setAttribute(
      "aria-label", slider.querySelector(".widget-label")?.textContent);
  }
}

const CONTROLS = `
  <button type="button" class="play">▶ Play</button>
  <button type="button" class="back" aria-label="Step back">◀ Back</button>
  <button type="button" class="next">Step ▶</button>
  <label>speed <input type="range" class="speed" min="1" max="12" value="2"
    aria-label="speed in windows per second"></label>
  <label class="reveal"><input type="checkbox" class="all"> show all</label>
  <button type="button" class="reset">Reset</button>
  <span class="where"></span>`;

function render({ model, el }) {
  el.classList.add("cnnlib-view");
  const id = `hatching-${Math.random().toString(36).slice(2)}`;
  el.innerHTML = `${hatching(id)}<div class="grids" role="group"></div>
    <p class="message" role="status"></p>
    <div class="controls" role="group" aria-label="Move the window">${CONTROLS}</div>
    <div class="sum" aria-live="polite" aria-atomic="true"></div>
    <div class="formula"></div>`;
  const part = (name) => el.querySelector(`.${name}`);
  const area = part("grids");
  const look = model.get("look");
  for (const [role, colour] of Object.entries(look.line)) {
    el.style.setProperty(`--${role}`, colour);
    el.style.setProperty(`--${role}-text`, look.text[role]);
  }
  area.style.height = `${look.height}px`;
  part("sum").style.height = `${look.lines * 1.6}em`;
  part("formula").style.minHeight = `${look.below}px`;

  let g = null; // the picture, with what the layout found out about each grid
  let hover = null; // the cell under the mouse: {key, kind, channel, row, column}
  let focus = null; // the cell with the keyboard's focus
  let seen = 0; // the last window that has passed: later outputs are blank
  let timer = null; // while playing
  let width = 0; // of the page
  const cursors = {}; // grid -> the [row, column] that a Tab leads to

  const svgOf = (key) => area.querySelector(`svg[data-key="${key}"]`);
  const elementAt = (key, row, column) => svgOf(key)?.querySelector(`[data-at="${row},${column}"]`)
    ?? svgOf(key)?.querySelector(".cursor");
  const cell = (key, row, column) => {
    const [, kind, channel] = key.match(/^(\D+)(\d*)$/);
    return { key, kind, channel, row, column };
  };

  // Whether number k of a grid belongs to a window that has not passed yet.
  const hidden = (key, k) => {
    const { filled, matrix: rows, columns } = g.grids[key];
    return filled && !part("all").checked && (rows ? Math.floor(k / columns) : k) > seen;
  };

  // ---- drawing a picture, lighting up a cell of it

  function draw() {
    const held = focus && area.contains(document.activeElement) ? focus : null;
    const picture = model.get("picture");
    if (!g || g.OH !== picture.OH || g.OW !== picture.OW) seen = 0;
    g = { ...picture, grids: {}, hatching: id };
    for (const [key, grid] of Object.entries(picture.grids)) {
      const widths = [textWidth(grid.name, "bold 13px"), textWidth(grid.subtitle, "12px")];
      const titleWidth = 10 + Math.ceil(Math.max(...widths));
      const letters = Math.max(1, ...(grid.text ?? []).map((text) => text.length));
      g.grids[key] = { ...grid, titleWidth, letters };
    }
    hover = focus = null;
    const { cell: side, matrix: sides } = fit(g, width, look.height);
    area.innerHTML = layoutHTML(g, [g.layout], side, sides);
    area.setAttribute("aria-label", `Window Explorer, ${g.mode}`);
    part("formula").innerHTML = formulaHTML(g);
    for (const [key, grid] of Object.entries(g.grids)) {
      if (!grid.filled) shadeIn(key);
      point(key, ...(cursors[key] ?? [0, 0]));
    }
    if (held && g.grids[held.key]) go(held.key, ...cursors[held.key]);
    part("reveal").hidden = !Object.values(g.grids).some((grid) => grid.filled);
    pass();
    nameSliders(el);
  }

  function shadeIn(key) {
    const grid = g.grids[key];
    const canvas = svgOf(key).parentNode.querySelector("canvas");
    shade(canvas, grid, look.line[grid.role], look.signs, (k) => hidden(key, k));
  }

  // The window is at another place: fill in what it has passed.
  function pass() {
    seen = Math.max(seen, Math.min(model.get("step"), g.OH * g.OW - 1));
    for (const key of Object.keys(g.grids).filter((name) => g.grids[name].filled)) {
      const svg = svgOf(key);
      svg.querySelectorAll(".numbers text").forEach((text, k) =>
        text.classList.toggle("blank", hidden(key, k)));
      svg.querySelectorAll(".box").forEach((box, k) => {
        box.classList.toggle("blank", hidden(key, k));
        const [row, column] = box.dataset.at.split(",").map(Number);
        box.setAttribute("aria-label", named(key, row, column));
      });
      shadeIn(key);
    }
    light();
  }

  const named = (key, row, column) => {
    const [grid, text] = [g.grids[key], label(g.grids[key], row, column)];
    return hidden(key, row * grid.columns + column) ? text.replace(/:[^:]*$/, ": not yet") : text;
  };

  function light() {
    const step = Math.min(model.get("step"), g.OH * g.OW - 1);
    const say = speaker(g, step, hidden);
    const { marks, lines, place = step } =
      (MODES[g.mode] ?? pooling)(g, hover ?? focus ?? stepped(g, step), say);
    const paths = {};
    for (const [key, row, column, height, wide, kind] of marks) {
      const { w, h, pad, rows, columns } = g.grids[key];
      const [r, c] = [row + pad, column + pad];
      if (r < 0 || c < 0 || r >= rows + 2 * pad || c >= columns + 2 * pad) continue;
      ((paths[key] ??= {})[kind] ??= []).push(
        `M${c * w} ${r * h}h${wide * w}v${height * h}h${-wide * w}z`);
    }
    for (const svg of area.querySelectorAll("svg")) {
      const kinds = Object.entries(paths[svg.dataset.key] ?? {});
      svg.querySelector(".marks").innerHTML =
        kinds.map(([kind, d]) => `<path class="${kind}" d="${d.join("")}"/>`).join("");
    }
    for (let c = 0; g.sums && c < g.C; c++) {
      const text = svgOf(`s${c}`).querySelector("text");
      if (text) text.textContent = g.sums[c][place];
      elementAt(`s${c}`, 0, 0).setAttribute("aria-label", `sum of channel ${c}: ${g.sums[c][place]}`);
    }
    part("sum").innerHTML = lines.map((line) => `<div>${line}</div>`).join("");
    part("where").textContent = `window ${place + 1} of ${g.OH * g.OW}`;
  }

  // ---- moving through the grids

  // Let Tab lead to this cell of its grid, or to the nearest one that there is.
  function point(key, row, column) {
    const grid = g.grids[key];
    elementAt(key, ...(cursors[key] ?? [0, 0]))?.setAttribute("tabindex", "-1");
    const [r, c] = [Math.min(row, grid.rows - 1), Math.min(column, grid.columns - 1)];
    cursors[key] = [Math.max(r, 0), Math.max(c, 0)];
    const element = elementAt(key, ...cursors[key]);
    element.setAttribute("tabindex", "0");
    if (!grid.written) placeCursor(element, grid, ...cursors[key], named(key, ...cursors[key]));
    return element;
  }

  function go(key, row, column) {
    const element = point(key, row, column);
    element.focus({ preventScroll: true });
    focus = cell(key, ...cursors[key]);
    // A cell that stands for a window makes it the window in play.
    if (focus.kind === "out" || focus.kind === "dout") setStep(focus.row * g.OW + focus.column);
    if (focus.kind === "col" || focus.kind === "dcol") setStep(focus.row);
    light();
  }

  // Forget what was said of a number that was mistyped.
  function hush() {
    if (model.get("stale") || !model.get("message")) return;
    model.set("message", "");
    model.save_changes();
  }

  function setStep(step) {
    hush();
    if (step === model.get("step")) return;
    model.set("step", step);
    model.save_changes();
  }

  // The cell at a point of the page, padding included.
  function cellAt(event) {
    const svg = event.target.closest("svg[data-key]");
    if (!svg) return null;
    const { w, h, pad, rows, columns } = g.grids[svg.dataset.key];
    const box = svg.getBoundingClientRect();
    const index = (value, end) => Math.max(0, Math.min(end - 1, Math.floor(value))) - pad;
    return cell(svg.dataset.key, index((event.clientY - box.top) / h, rows + 2 * pad),
      index((event.clientX - box.left) / w, columns + 2 * pad));
  }
  const exists = (place) => place && place.row >= 0 && place.column >= 0
    && place.row < g.grids[place.key].rows && place.column < g.grids[place.key].columns;
  const onCell = (action) => (event) => {
    const place = event.target.tagName === "INPUT" ? null : cellAt(event);
    if (exists(place)) action(place.key, place.row, place.column);
  };

  area.addEventListener("pointermove", (event) => {
    const place = cellAt(event);
    if (JSON.stringify(place) !== JSON.stringify(hover)) { hover = place; light(); }
  });
  area.addEventListener("pointerleave", () => { hover = null; light(); });
  area.addEventListener("click", onCell(go));
  area.addEventListener("dblclick", onCell(edit));
  area.addEventListener("focusin", ({ target }) => {
    if (!target.dataset.at) return;
    const { key } = target.closest("svg").dataset;
    focus = cell(key, ...target.dataset.at.split(",").map(Number));
    light();
  });
  area.addEventListener("focusout", () => {
    if (!focus) return; // a new picture is being drawn
    focus = null;
    light();
  });
  el.addEventListener("focusin", ({ target }) => {
    // JupyterLab takes arrow keys and Enter away from whatever does not carry this itself.
    target.setAttribute("data-lm-suppress-shortcuts", "true");
    hush();
  });
  area.addEventListener("keydown", (event) => {
    if (!focus || event.target.tagName === "INPUT") return;
    const { key, row, column } = focus;
    const grid = g.grids[key];
    const all = event.ctrlKey || event.metaKey;
    const moves = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      Home: [all ? 0 : row, 0], End: [all ? grid.rows : row, grid.columns],
      PageUp: [row - 5, column], PageDown: [row + 5, column],
    };
    const writes = /^[-\d.]$/.test(event.key) && !all && !event.altKey;
    if (moves[event.key]) go(key, ...moves[event.key]);
    else if (grid.edit && writes) edit(key, row, column, event.key);
    else if (grid.edit && ["Enter", "F2"].includes(event.key)) edit(key, row, column);
    else return;
    event.preventDefault();
  });

  // ---- editing a number

  function edit(key, row, column, first) {
    const grid = g.grids[key];
    if (!grid.edit || area.querySelector("input")) return;
    const old = grid.text[row * grid.columns + column].replace("−", "-");
    const input = document.createElement("input");
    const wide = Math.max(grid.w, 52);
    Object.assign(input, { value: first ?? old, inputMode: "decimal" });
    input.setAttribute("aria-label", `${label(grid, row, column)}, new value`);
    const left = (column + grid.pad + 0.5) * grid.w - wide / 2;
    const top = (row + grid.pad + 0.5) * grid.h - 14; // further left it would be cut off:
    input.style.cssText = `left: ${Math.max(0, left)}px; top: ${top}px; width: ${wide}px`;
    let open = true;
    const close = (keep, back) => {
      if (!open) return;
      open = false;
      const { value } = input;
      input.remove();
      if (back) go(key, row, column);
      if (keep && value.trim() !== old) model.send({ grid: key, row, column, value });
    };
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter" || event.key === "Escape") close(event.key === "Enter", true);
    });
    input.addEventListener("blur", () => close(true, false));
    svgOf(key).parentNode.append(input);
    input.focus();
    if (first === undefined) input.select();
  }

  // ---- play, step, and what is offered where the stride does not divide

  const move = (by) => setStep((model.get("step") + by + g.OH * g.OW) % (g.OH * g.OW));
  function play(on) {
    clearInterval(timer);
    timer = on ? setInterval(move, 1000 / part("speed").value, 1) : null;
    part("play").textContent = on ? "❚❚ Pause" : "▶ Play";
    part("sum").setAttribute("aria-live", on ? "off" : "polite");
  }
  part("play").addEventListener("click", () => play(timer === null));
  part("back").addEventListener("click", () => { play(false); move(-1); });
  part("next").addEventListener("click", () => { play(false); move(1); });
  part("all").checked = !model.get("reveal");
  part("all").addEventListener("change", () => pass());
  part("reset").addEventListener("click", () => {
    play(false);
    part("all").checked = !model.get("reveal");
    setStep(0);
    seen = 0;
    pass();
    model.send({ reset: true });
  });
  part("speed").addEventListener("input", () => timer !== null && play(true));
  part("formula").addEventListener("click", ({ target }) => {
    const { setting, value } = target.dataset;
    if (setting) model.send({ setting, value: Number(value) });
  });

  // ---- what Python sends

  const listeners = {
    "change:picture": () => width && draw(),
    "change:step": () => g && pass(),
    "change:message": () => part("message").replaceChildren(model.get("message")),
    "change:stale": () => area.classList.toggle("old", model.get("stale")),
  };
  for (const [event, listener] of Object.entries(listeners)) model.on(event, listener);
  listeners["change:message"]();
  listeners["change:stale"]();
  // The first drawing waits until there is a width; others follow when it changes.
  const observer = new ResizeObserver(() => {
    const room = Math.min(868, el.clientWidth) - 12; // the padding is no room
    if (room <= 0 || room === width) return;
    width = room;
    draw();
  });
  observer.observe(el);
  return () => {
    play(false);
    observer.disconnect();
    for (const [event, listener] of Object.entries(listeners)) model.off(event, listener);
  };
}

export default { render };
