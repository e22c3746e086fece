// The view of the Window Explorer. Python sends one picture: grids of written numbers, their
// layout, the formula. This module fits it into the page, draws it, and lights up what belongs
// together. It computes places (which window reads which cell), never a number. Read from the
// bottom: `render` starts everything, `draw` draws a picture, `light` lights up.

const [GAP, APART, SIGN] = [12, 8, 24]; // between rows, between columns, width of a sign
const LARGEST = 42; // side of a cell, in pixels
const LEGIBLE = 17; // smallest height of a cell with a number

// ---- Places -------------------------------------------------------------------------------------
// Six indices say where numbers meet: filter f, channel c, element (i, j), window (p, q). A grid
// says how they make up its rows and its columns. So a cell stands for one meeting or for several,
// such as {p: 0, q: 1}, and each meeting leads to cells of the other grids.

const range = (n) => [...Array(n).keys()];
const sum = (numbers) => numbers.reduce((total, n) => total + n, 0);
const isInside = ({ rows, columns }, row, column) => row >= 0 && column >= 0 && row < rows && column < columns;

// All values of some indices, each worth `by` rows, that add up to `rest`.
function solve(sizes, [first, ...more], rest) {
  if (!first) return rest === 0 ? [{}] : [];
  const [index, by] = first;
  const possible = (value) => value >= 0 && value < sizes[index] && value * by <= rest && value % 1 === 0;
  return (more.length ? range(sizes[index]) : [rest / by]).filter(possible).flatMap((value) =>
    solve(sizes, more, rest - value * by).map((found) => ({ [index]: value, ...found })));
}

function meetings(g, { row: rows, column: columns, pad, fixed }, row, column) {
  const across = solve(g.sizes, Object.entries(columns), column + pad);
  return solve(g.sizes, Object.entries(rows), row + pad).flatMap((found) =>
    across.map((other) => ({ ...fixed, ...found, ...other })));
}

const fits = ({ fixed }, meeting) =>
  Object.entries(fixed).every(([index, value]) => (meeting[index] ?? value) === value);

// The cells of a grid to which a meeting leads, as [row, column, height, width]. An index that it
// leaves open runs over all its values; a grid that knows none of its indices has no part in it.
function blocks(g, grid, meeting) {
  const own = Object.keys({ ...grid.row, ...grid.column, ...grid.fixed });
  if (!fits(grid, meeting) || !own.some((index) => index in meeting)) return [];
  const runs = (steps) => { // neighbours are one block
    const places = new Set(Object.entries(steps).reduce((found, [index, by]) => found.flatMap((place) =>
      (index in meeting ? [meeting[index]] : range(g.sizes[index])).map((k) => place + k * by)), [-grid.pad]));
    return [...places].filter((place) => !places.has(place - 1)).map((start) =>
      [start, range(places.size + 1).find((long) => !places.has(start + long))]);
  };
  const across = runs(grid.column);
  return runs(grid.row).flatMap(([r, h]) => across.map(([c, w]) => [r, c, h, w]));
}

const stepOf = (g, meeting) => [...g.steps].reduce((step, index) => step * g.sizes[index] + (meeting[index] ?? 0), 0);

// The indices that a step fixes; of these, only what a meeting knows.
const meetingOf = (g, step, known = g.sizes) => Object.fromEntries([...g.steps].map((index, k) => {
  const within = [...g.steps.slice(k + 1)].reduce((n, inner) => n * g.sizes[inner], 1);
  return [index, Math.floor(step / within) % g.sizes[index]];
}).filter(([index]) => index in known));

// Where the maximum of each window stands; of these, what a meeting says, too.
const winners = (g, meeting) => range(g.sizes.c).map((c) => {
  const k = g.winners[c][meeting.p * g.sizes.q + meeting.q];
  return { c, i: Math.floor(k / g.sizes.j), j: k % g.sizes.j, p: meeting.p, q: meeting.q };
}).filter((found) => Object.keys(meeting).every((index) => meeting[index] === found[index]));

// What is lit, in layers of [kind, meetings]: what belongs together, and in it a single cell.
function layers(g, grid, met) {
  if (g.winners) return [["window", met], ["cell", met.flatMap((meeting) => winners(g, meeting))]];
  if (!grid?.matrix || met.length !== 1) return [["window", met]];
  return [["window", [meetingOf(g, stepOf(g, met[0]), met[0])]], ["cell", met]];
}

// ---- What is said -------------------------------------------------------------------------------

const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
const list = (items) => (items.length ? `: ${items.join(", ")}` : "");
const square = (...indices) => `[${indices.join(", ")}]`;

// What writes the numbers of a picture in the colours of their roles: `say(tensor, meeting)`.
function speaker(g, hidden) {
  const inside = ({ key, row, column }) => isInside(g.grids[key], row, column);
  const plain = (cell) => {
    const { role, text, columns, ring } = g.grids[cell.key];
    const k = cell.row * columns + cell.column;
    const number = !inside(cell) ? ring : hidden(cell.key, k) ? "?" : text?.[k] ?? "…";
    return `<span class="role-${role}">${number}</span>`;
  };
  const name = ({ key, row, column }) =>
    g.grids[key].tensor + square(...Object.values(g.grids[key].fixed), row, column);
  const find = (tensor, meeting) => {
    const [key, grid] = Object.entries(g.grids).find(([, other]) => other.tensor === tensor && fits(other, meeting));
    const place = (steps) => sum(Object.entries(steps).map(([index, by]) => by * (meeting[index] ?? 0)));
    return { key, row: place(grid.row) - grid.pad, column: place(grid.column) - grid.pad };
  };
  return {
    say: (tensor, meeting) => plain(find(tensor, meeting)).replace(/(−[^<]+)/, "($1)"),
    plain: (tensor, meeting) => plain(find(tensor, meeting)),
    at: (tensor, meeting) => name(find(tensor, meeting)),
    called: (cell) => (inside(cell) ? `${name(cell)} = ${plain(cell)}` : `The padding ${plain(cell)}`),
  };
}

// The lines about a cell, or where there is none, about the step.
function tell(g, cell, met, { say, plain, at, called }) {
  const { f: FN, c: C, i: FH, j: FW, p: OH, q: OW } = g.sizes;
  const [tensor, [one = {}]] = [cell && g.grids[cell.key].tensor, met];
  const place = one.p * OW + one.q;
  const elements = (channels) => channels.flatMap((c) => range(FH * FW).map((k) =>
    ({ ...one, c, i: Math.floor(k / FW), j: k % FW })));
  const windows = count(met.length, "window");
  if (tensor === "x" || tensor === "reads") {
    const uses = met.map((meeting) => (g.grids.W00 ? `times ${say("W", { f: g.f, ...meeting })} for ` : "")
      + (g.grids.col ? `row ${meeting.p * OW + meeting.q}` : square(meeting.p, meeting.q)));
    const wins = g.winners ? `, and is the maximum of ${met.flatMap((m) => winners(g, m)).length}` : "";
    return [`${called(cell)} is read by ${windows}${wins}${FN > 1 ? `, in filter ${g.f}` : ""}${list(uses)}`];
  }
  if (tensor === "dx") {
    const terms = met.map((meeting) => `${say("dout", meeting)}·${say("W", meeting)}`);
    return [`${called(cell)}: ${terms.join(" + ") || "nothing"} from ${windows}`];
  }
  if (["W", "b", "col_W"].includes(tensor)) return [`${called(cell)} is used in ${count(OH * OW, "window")}`];
  if (g.said) return g.said[stepOf(g, one)];
  if (g.grids.dcol) {
    const terms = elements(range(C)).map((m) => `${say("dout", one)}·${say("W", m)}`);
    return [`${at("dout", one)} flows back to its window, as row ${place} of dcol${list(terms)}`];
  }
  if (tensor === "col" || (g.grids.col && !g.grids.product)) {
    const numbers = elements(range(C)).map((m) => plain("x", m)).join(" ");
    return [`Row ${place} of col is the window of out${square(one.p, one.q)}: ${numbers}`];
  }
  if (!g.grids.W00) {
    return range(C).filter((c) => (one.c ?? c) === c).map((c) => {
      const numbers = elements([c]).map((m) => (g.winners ? plain : say)("x", m));
      const written = g.winners ? `max(${numbers.join(", ")})` : `(${numbers.join(" + ")}) / ${FH * FW}`;
      return `${at("out", { ...one, c })} = ${written} = ${plain("out", { ...one, c })}`;
    });
  }
  const products = (c) => elements([c]).map((m) => `${say("x", m)}·${say("W", m)}`).join(" + ");
  const total = (c) => `<span class="role-output">${g.sums[one.f ?? 0][c][place]}</span>`;
  const start = g.grids.product ? `Row ${place} of col times column ${one.f ?? 0} of col_W` : at("out", one);
  const bias = g.grids.b0 && !/>0</.test(plain("b", one)) ? ` + ${say("b", one)} (bias)` : "";
  const end = `${bias} = ${plain(g.grids.product ? "product" : "out", one)}`;
  if (C === 1) return [`${start} = ${products(0)}${end}`];
  return [...range(C).map((c) => `sum[${c}] = ${products(c)} = ${total(c)}`),
    `${start} = ${range(C).map(total).join(" + ")}${end}`];
}

// ---- Layout: the largest cells with which everything fits -----------------------------------------
// A line is a list of keys and signs; a list in it is a table, whose rows are such lines.

const titleOf = (grid) => (grid?.subtitle ? 40 : 21); // height of the lines above a grid

// The side of a cell that holds the longest of its numbers; small grids keep it among large ones.
const needed = ({ letters }) => Math.max(LEGIBLE, letters > 4 ? letters * 7 + 3 : letters * 7.6 + 6);
const small = (grid) => (Math.max(grid.rows, grid.columns) + 2 * grid.pad) * needed(grid) <= 150;

// Width and height of a cell.
const sidesOf = (grid, { cell, matrix }) => (grid.matrix ? matrix
  : small(grid) ? [Math.max(cell, needed(grid)), Math.max(cell, LEGIBLE)] : [cell, cell]);

// Width and height of a grid, a sign or a table.
function sizeOf(g, item, sides) {
  const grid = g.grids[item];
  if (grid) {
    const [w, h] = sidesOf(grid, sides);
    return [Math.max(grid.titleWidth, (grid.columns + 2 * grid.pad) * w),
      titleOf(grid) + (grid.rows + 2 * grid.pad) * h];
  }
  if (!Array.isArray(item)) return [SIGN, 20];
  const sizes = item.map((row) => row.map((part) => sizeOf(g, part, sides)));
  const columns = range(Math.max(...item.map((row) => row.length)));
  const wide = columns.map((k) => Math.max(...sizes.map((row) => row[k]?.[0] ?? 0)));
  const high = sizes.map((row) => Math.max(...row.map(([, h]) => h)));
  return [sum(wide) + APART * (wide.length - 1), sum(high) + GAP * (high.length - 1)];
}

// Chooses the lines, the side of a cell, and width and height of a cell of a matrix: with legible
// numbers in one line, or else in several, broken at signs, or else with smaller cells.
function fit(g, width, height) {
  const grids = Object.values(g.grids);
  const matrices = grids.filter((grid) => grid.matrix).sort((a, b) => b.columns - a.columns), [widest] = matrices;
  const single = g.layout.length === 1; // a table: it breaks in all its rows
  const table = single ? g.layout[0] : [g.layout];
  const signs = (sign) => range(table.at(-1).length).filter((k) => k && sign.test(table.at(-1)[k]));
  const cut = (...ks) => [0, ...ks].map((from, n) => table.map((row) => row.slice(from, ks[n])))
    .map((rows) => (single ? [rows.filter((row) => row.length)] : rows[0]));
  const [arrows, every] = [signs(/^→$/), signs(/^[→⊛×+=]$/)];
  const choices = [[cut()], arrows.map((k) => cut(k)), every.map((k) => cut(k)), [cut(...every)]];
  const ways = range(17).flatMap((k) => choices.map((splits) => [splits, true, (1 + k / 10) * height]));
  const arrange = (lines, cell, legible, high) => { // undefined where a cell is too large
    const sides = { cell, matrix: [0, 0] };
    if (widest) {
      const line = lines.find((items) => items.some((key) => g.grids[key] === widest));
      const room = width - sizeOf(g, [line], sides)[0] + widest.titleWidth;
      const w = Math.min(LARGEST, room / widest.columns);
      const others = lines.filter((other) => other !== line).map((other) => sizeOf(g, [other], sides)[1] + GAP);
      const most = (high - 40 - sum(others)) / Math.max(...matrices.map((grid) => grid.rows));
      sides.matrix = [w, Math.min(LARGEST, Math.max(w, LEGIBLE), lines.length > 2 ? LEGIBLE : most)]; // > 2: in several lines
      const enough = legible ? [Math.max(...matrices.map(needed)), LEGIBLE] : [3, 0];
      if (sides.matrix.some((side, k) => side < enough[k])) return;
    }
    const sizes = lines.map((line) => sizeOf(g, [line], sides));
    const tall = sum(sizes.map(([, h]) => h)) + GAP * (lines.length - 1);
    if (sizes.every(([w]) => w <= width) && tall <= high + 0.5) return { lines, sides, tall };
  };
  for (const [splits, legible, high] of [...ways, ...choices.map((splits) => [splits, false, height])]) {
    const least = legible ? Math.max(8, ...grids.filter((grid) => !grid.matrix && !small(grid)).map(needed)) : 1;
    const possible = splits.filter((lines) => arrange(lines, least, legible, high)); // else no larger cell fits
    for (let cell = Math.max(LARGEST, least); possible.length && cell >= least; cell -= cell > 8 ? 1 : 0.25) {
      const found = possible.map((lines) => arrange(lines, cell, legible, high)).find(Boolean);
      if (found) return found;
    }
  }
  return { lines: choices[3][0], sides: { cell: 1, matrix: [2, 1] }, tall: height };
}

// ---- Drawing -------------------------------------------------------------------------------------

const outline = ({ w, h, pad }, row, column, high, wide) =>
  `M${(column + pad) * w} ${(row + pad) * h}h${wide * w}v${high * h}h${-wide * w}z`;

// One grid. Where its numbers are legible every cell is an element; else the numbers are shades on
// a canvas, and a single cell stands where the keyboard is.
function gridHTML(key, grid, w, h, id) {
  const { rows, columns, pad, ring } = grid;
  const [R, C] = [rows + 2 * pad, columns + 2 * pad];
  const [W, H] = [C * w, R * h];
  const written = grid.text != null && w >= needed(grid) - 1 && h >= LEGIBLE - 1;
  Object.assign(grid, { w, h, written });
  // Where each channel has a tint, so has its part of the matrix.
  const tint = (c) => (grid.tints
    ? `style="--tint: ${grid.tints[Math.floor(c * grid.tints.length / columns)]}%" ` : "");
  const rect = (r, c, high = 1, wide = 1) =>
    `x="${(c + pad) * w}" y="${(r + pad) * h}" width="${wide * w}" height="${high * h}"`;
  const write = (r, c, text, kind, font) => `<text class="${kind}" x="${(c + pad + 0.5) * w}" `
    + `y="${(r + pad + 0.5) * h}" font-size="${font}">${text}</text>`;
  const cells = range(written ? rows : 1).map((r) => `<g role="row">${range(written ? columns : 1)
    .map((c) => `<rect role="gridcell" class="${written ? "box" : "cursor"}" tabindex="-1" ${
      tint(c)}${rect(r, c)} data-at="${r},${c}"/>`).join("")}</g>`);
  const font = Math.min([14, 12].find((size) => w - 4 > grid.letters * size * 0.6) ?? 11, h - 4);
  const numbers = range(written ? R * C : 0).map((k) => {
    const [r, c] = [Math.floor(k / C) - pad, k % C - pad];
    if (isInside(grid, r, c)) return write(r, c, grid.text[r * columns + c], "", font);
    return w < 8 * ring.length ? "" : write(r, c, ring, "ring", 11);
  });
  const lines = [...range(C + 1).map((c) => `M${c * w} 0V${H}`), ...range(R + 1).map((r) => `M0 ${r * h}H${W}`)];
  const lattice = (written ? pad > 0 : Math.min(w, h) >= 5) ? lines.join("") : "";
  const hatch = grid.hatched.map(([r, c]) => outline(grid, r - pad, c - pad, 1, 1)).join("");
  return `<div class="grid role-${grid.role}" style="width:${Math.max(grid.titleWidth, W)}px">
    <div class="title">${grid.name}</div><div class="shape">${grid.subtitle}</div>
    <div class="frame" style="width:${W}px;height:${H}px">
    ${written ? "" : `<canvas width="${columns}" height="${rows}" style="left:${pad * w}px;top:${pad * h}px;
      width:${columns * w}px;height:${rows * h}px"></canvas>`}
    <svg xmlns="http://www.w3.org/2000/svg" width="${W}" height="${H}" role="grid" data-key="${key}"
      aria-rowcount="${rows}" aria-colcount="${columns}"
      aria-label="${grid.name} ${grid.subtitle}${grid.edit ? ", Enter to edit" : ""}">
      <path class="padding" fill-rule="evenodd" d="M0 0H${W}V${H}H0Z${outline(grid, 0, 0, rows, columns)}"/>
      <path class="lattice${written ? " dashed" : ""}" d="${lattice}"/>
      ${cells.join("")}
      <path class="unread" fill="url(#${id})" d="${hatch}"/><rect class="edge" ${rect(0, 0, rows, columns)}/>
      <g class="marks"></g><g class="numbers" aria-hidden="true">${numbers.join("")}</g>
    </svg></div></div>`;
}

// Numbers as shades of the role's colour, or of two colours if some are negative.
function shade(canvas, grid, colours, hidden) {
  const image = new ImageData(grid.columns, grid.rows);
  const rgb = colours.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  for (let k = 0; k < grid.rows * grid.columns; k++) {
    const value = grid.shade.getInt8(k); // -100 to 100
    const opacity = hidden(k) ? 0 : Math.abs(value) * 2.3 + (grid.signed ? 0 : 20);
    image.data.set([...rgb[value < 0 ? 0 : rgb.length - 1], opacity], 4 * k);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function formulaHTML(g) {
  const offer = ({ setting, label: text, value }) =>
    ` <button type="button" data-setting="${setting}" data-value="${value}">${text} ${value}</button>`;
  const axes = g.formula.map(({ letters, numbers, note, offers }) =>
    `<div><div>${letters} = ${numbers}</div>${note && `<div class="note">${note}${
      offers.length ? " These divide:" : ""}${offers.map(offer).join("")}</div>`}</div>`);
  const settings = g.stride > 1 || g.pad ? `; stride ${g.stride}, pad ${g.pad}` : "";
  const hatched = Object.values(g.grids).some((grid) => grid.hatched.length) ? "; hatched: read by no window" : "";
  return `${axes.join("")}<div class="summary">${g.summary.join("<br>")}${axes.length ? "" : settings + hatched}</div>`;
}

function layoutHTML(g, item, sides, above = 40) {
  const grid = g.grids[item];
  if (grid) return gridHTML(item, grid, ...sidesOf(grid, sides), g.hatching);
  if (!Array.isArray(item)) {
    return `<div class="sign" style="padding-top: ${above}px" aria-hidden="true">${item}</div>`;
  }
  const columns = Math.max(...item.map((row) => row.length));
  const cells = item.flatMap((row) => {
    const titles = Math.max(...row.map((key) => (Array.isArray(key) ? 40 : titleOf(g.grids[key]))));
    return range(columns).map((k) => layoutHTML(g, row[k] ?? " ", sides, titles));
  });
  return `<div class="table" style="grid-template-columns: repeat(${columns}, auto)">${cells.join("")}</div>`;
}

const pen = document.createElement("canvas").getContext("2d");
const textWidth = (text, font) =>
  Object.assign(pen, { font: `${font} "DejaVu Sans", sans-serif` }).measureText(text).width;

// The pattern is of one view only: where JupyterLab skips a cell out of sight, it is not drawn.
const page = (id) => `<svg width="0" height="0" style="position: absolute" aria-hidden="true">
    <pattern id="${id}" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
      <path d="M0 0V7" stroke="#7b8794" stroke-width="2.4"/></pattern></svg>
  <div class="grids" role="group"></div>
  <p class="message" role="status"></p>
  <div class="controls" role="group" aria-label="Move the window">
    <button type="button" class="play">▶ Play</button>
    <button type="button" class="back" aria-label="Step back">◀ Back</button>
    <button type="button" class="next">Step ▶</button>
    <label>speed <input type="range" class="speed" min="1" max="12" value="2"
      aria-label="speed in windows per second"></label>
    <label class="reveal"><input type="checkbox" class="all"> show all</label>
    <label class="copies"><input type="checkbox" class="counted"> count copies</label>
    <button type="button" class="reset">Reset</button><span class="where"></span></div>
  <div class="sum" aria-live="polite" aria-atomic="true"></div>
  <div class="formula"></div>`;

function render({ model, el }) {
  el.classList.add("cnnlib-view");
  const id = `hatching-${Math.random().toString(36).slice(2)}`;
  el.innerHTML = page(id);
  const part = (name) => el.querySelector(`.${name}`);
  const [area, all] = [part("grids"), part("all")];
  const look = model.get("look");
  part("sum").style.minHeight = `${look.lines * 1.6}em`;
  part("formula").style.minHeight = `${look.below}px`;

  let g = null; // the picture, with what the layout found out about each grid
  let hover = null; // the cell under the mouse: {key, row, column}
  let focus = null; // the cell with the keyboard's focus
  let seen = 0; // the last window that has passed: later outputs are blank
  let timer = null; // while playing
  let width = 0; // of the page
  let height = 0; // kept for the grids: what the tallest needed
  const cursors = {}; // grid -> the [row, column] that a Tab leads to

  const svgOf = (key) => area.querySelector(`svg[data-key="${key}"]`);
  // Whether number k of a grid belongs to a step that has not passed yet.
  const hidden = (key, k) => {
    const { step, columns, along, down } = g.grids[key];
    return step === "fills" && !all.checked
      && stepOf(g, g.grids[key].fixed) + down[Math.floor(k / columns)] + along[k % columns] > seen;
  };

  // ---- drawing a picture, lighting up a cell of it
  function draw() {
    const held = focus && area.contains(document.activeElement) ? focus : null;
    const picture = model.get("picture");
    if (g?.count !== picture.count || g.steps !== picture.steps) seen = 0;
    g = { ...picture, grids: {}, hatching: id };
    for (const [key, grid] of Object.entries(picture.grids)) {
      const widths = [textWidth(grid.name, "bold 13px"), textWidth(grid.subtitle, "12px")];
      const steps = (lines, by) => grid.step && range(lines).map((place) =>
        stepOf(g, solve(g.sizes, Object.entries(by), place)[0] ?? {}));
      g.grids[key] = { ...grid, titleWidth: 10 + Math.ceil(Math.max(...widths)),
        letters: Math.max(1, ...(grid.text ?? []).map((text) => text.length)),
        down: steps(grid.rows, grid.row), along: steps(grid.columns, grid.column) };
    }
    hover = focus = null;
    const sight = (innerHeight - look.rest) / (el.currentCSSZoom ?? 1); // what is seen at once
    const high = Math.min(look.height, Math.max(200, sight - 23 * look.lines - look.below));
    const { lines, sides, tall } = fit(g, width, high);
    height = Math.max(height, high, tall);
    area.style.minHeight = `${height}px`;
    area.innerHTML = lines.map((line) => layoutHTML(g, [line], sides)).join("");
    area.setAttribute("aria-label", `Window Explorer, ${g.mode}`);
    part("formula").innerHTML = formulaHTML(g);
    globalThis.nameControls?.(el);
    for (const key of Object.keys(g.grids)) point(key, ...(cursors[key] ?? [0, 0]));
    if (held && g.grids[held.key]) go(held.key, ...cursors[held.key]);
    part("reveal").hidden = !Object.values(g.grids).some((grid) => grid.step === "fills");
    part("copies").hidden = g.copies === null;
    part("counted").checked = g.copies;
    pass(true);
  }

  // The window is at another place: fill in what it has passed, if that is more than before.
  function pass(anew = false) {
    const before = seen;
    seen = Math.max(seen, Math.min(model.get("step"), g.count - 1));
    if (anew || (seen > before && !all.checked)) Object.keys(g.grids).forEach(fill);
    light();
  }

  // Writes what may be seen of a grid, or shades it.
  function fill(key) {
    const [svg, grid] = [svgOf(key), g.grids[key]];
    const texts = svg.querySelectorAll(".numbers text:not(.ring)");
    svg.querySelectorAll(".box").forEach((box, k) => {
      for (const element of [box, texts[k]]) element.classList.toggle("blank", hidden(key, k));
      box.setAttribute("aria-label", label(key, k));
    });
    const canvas = svg.parentNode.querySelector("canvas");
    if (canvas) shade(canvas, grid, look.colours[grid.signed ? "signed" : grid.role], (k) => hidden(key, k));
  }

  const label = (key, k) => {
    const { name, columns, text } = g.grids[key];
    const number = hidden(key, k) ? ": not yet" : text ? `: ${text[k]}` : "";
    return `${name.replace(/ [xWb](?=\[|$)/, "")} row ${Math.floor(k / columns)} column ${k % columns}${number}`;
  };

  function light() {
    const step = Math.min(model.get("step"), g.count - 1);
    g.f = meetingOf(g, step).f ?? 0; // the filter in play
    const cell = hover ?? focus;
    const grid = cell && g.grids[cell.key];
    const met = cell ? meetings(g, grid, cell.row, cell.column) : [meetingOf(g, step)];
    const marks = layers(g, grid, met).flatMap(([kind, lit]) => Object.entries(g.grids).flatMap(([key, other]) =>
      lit.flatMap((meeting) => blocks(g, other, meeting)).map((block) => [key, kind, ...block])));
    const own = cell && !grid.matrix; // not what else its indices would lead to there
    const shown = own ? marks.filter(([key, kind]) => key !== cell.key || kind === "cell") : marks;
    if (own) shown.push([cell.key, "window", cell.row, cell.column, 1, 1]);
    for (const svg of area.querySelectorAll("svg")) {
      const path = (kind) => shown.filter((mark) => mark[0] === svg.dataset.key && mark[1] === kind)
        .map(([key, , ...block]) => outline(g.grids[key], ...block));
      svg.querySelector(".marks").innerHTML =
        ["window", "cell"].map((kind) => `<path class="${kind}" d="${path(kind).join("")}"/>`).join("");
    }
    part("sum").innerHTML = tell(g, cell, met, speaker(g, hidden)).join("<br>");
    const here = grid?.step ? stepOf(g, met[0]) : step;
    const each = g.steps.startsWith("f") ? g.count / g.sizes.f : g.count;
    part("where").textContent = `${g.said ? "element" : "window"} ${here % each + 1} of ${each}`
      + (each < g.count ? `, filter ${Math.floor(here / each) + 1} of ${g.sizes.f}` : "");
  }

  // ---- moving through the grids
  // Let Tab lead to this cell of its grid, or to the nearest one that there is.
  function point(key, row, column) {
    const [grid, svg] = [g.grids[key], svgOf(key)];
    svg.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
    const [r, c] = [Math.min(row, grid.rows - 1), Math.min(column, grid.columns - 1)].map((k) => Math.max(k, 0));
    cursors[key] = [r, c];
    const element = svg.querySelector(grid.written ? `[data-at="${r},${c}"]` : ".cursor");
    const place = grid.written ? {} : { // one element, where the keyboard is
      x: (c + grid.pad) * grid.w, y: (r + grid.pad) * grid.h, "data-at": `${r},${c}`,
      "aria-label": label(key, r * grid.columns + c), "aria-rowindex": r + 1, "aria-colindex": c + 1 };
    for (const [name, value] of Object.entries({ ...place, tabindex: 0 })) element.setAttribute(name, value);
    return element;
  }

  function go(key, row, column) {
    point(key, row, column).focus({ preventScroll: true });
    [hover, focus] = [null, { key, row: cursors[key][0], column: cursors[key][1] }];
    const grid = g.grids[key]; // a cell that stands for a step puts it in play
    if (grid.step) setStep(stepOf(g, meetings(g, grid, focus.row, focus.column)[0]));
    light();
  }

  const save = (name, value) => { model.set(name, value); model.save_changes(); };
  const hush = () => model.get("stale") || save("message", ""); // of a number that was mistyped
  const setStep = (step) => { hush(); save("step", step); };

  // The cell at a point of the page, padding included.
  function cellAt({ target, clientX, clientY }) {
    const svg = target.closest("svg[data-key]");
    if (!svg) return null;
    const { pad, rows, columns } = g.grids[svg.dataset.key];
    const box = svg.getBoundingClientRect();
    const index = (share, end) => Math.max(0, Math.min(end - 1, Math.floor(share * end))) - pad;
    const row = index((clientY - box.top) / box.height, rows + 2 * pad);
    const column = index((clientX - box.left) / box.width, columns + 2 * pad);
    return { key: svg.dataset.key, row, column, inside: isInside(g.grids[svg.dataset.key], row, column) };
  }
  const onCell = (action) => (event) => {
    const place = cellAt(event);
    if (place?.inside) action(place.key, place.row, place.column);
  };

  area.addEventListener("pointermove", (event) => {
    const place = cellAt(event);
    if (JSON.stringify(place) !== JSON.stringify(hover)) { hover = place; light(); }
  });
  area.addEventListener("pointerleave", () => { hover = null; light(); });
  area.addEventListener("click", onCell(go));
  area.addEventListener("dblclick", onCell(edit));
  area.addEventListener("focusout", () => { // with no focus, a new picture is being drawn
    if (focus) { focus = null; light(); }
  });
  el.addEventListener("focusin", ({ target }) => {
    hush();
    if (!target.dataset.at) return;
    const [row, column] = target.dataset.at.split(",").map(Number);
    focus = { key: target.closest("svg").dataset.key, row, column };
    light();
  });
  area.addEventListener("keydown", (event) => {
    if (!focus || event.target.tagName === "INPUT") return;
    const { key, row, column } = focus;
    const grid = g.grids[key];
    const control = event.ctrlKey || event.metaKey;
    const moves = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      Home: [control ? 0 : row, 0], End: [control ? grid.rows : row, grid.columns],
      PageUp: [row - 5, column], PageDown: [row + 5, column],
    };
    const first = control || event.altKey ? undefined : event.key.match(/^[-\d.]$/)?.[0]; // as if typed
    if (moves[event.key]) go(key, ...moves[event.key]);
    else if (grid.edit && (first || ["Enter", "F2"].includes(event.key))) edit(key, row, column, first);
    else return;
    event.preventDefault();
  });

  // ---- editing a number
  function edit(key, row, column, first) {
    const grid = g.grids[key];
    if (!grid.edit || area.querySelector("input")) return;
    const old = grid.text[row * grid.columns + column].replace("−", "-");
    const input = document.createElement("input");
    const [wide, name] = [Math.max(grid.w, 52), label(key, row * grid.columns + column)];
    Object.assign(input, { value: first ?? old, inputMode: "decimal", ariaLabel: `${name}, new value` });
    const left = (column + grid.pad + 0.5) * grid.w - wide / 2;
    const top = (row + grid.pad + 0.5) * grid.h - 14; // further left it would be cut off:
    input.style.cssText = `left: ${Math.max(0, left)}px; top: ${top}px; width: ${wide}px`;
    const close = (keep, back) => {
      input.onblur = null;
      input.remove();
      if (back) go(key, row, column);
      if (keep && input.value.trim() !== old) model.send({ grid: key, row, column, value: input.value });
    };
    input.onkeydown = (event) => {
      event.stopPropagation();
      if (["Enter", "Escape"].includes(event.key)) close(event.key === "Enter", true);
    };
    input.onblur = () => close(true, false);
    svgOf(key).parentNode.append(input);
    input.focus();
    if (first === undefined) input.select();
  }

  // ---- play, step, and what is offered where the stride does not divide
  const move = (by) => setStep((model.get("step") + by + g.count) % g.count);
  function play(runs) {
    clearInterval(timer);
    timer = runs ? setInterval(move, 1000 / part("speed").value, 1) : null;
    part("play").textContent = runs ? "❚❚ Pause" : "▶ Play";
    part("sum").setAttribute("aria-live", runs ? "off" : "polite");
  }
  const on = (name, event, action) => part(name).addEventListener(event, action);
  on("play", "click", () => play(timer === null));
  on("back", "click", () => { play(false); move(-1); });
  on("next", "click", () => { play(false); move(1); });
  on("all", "change", () => pass(true));
  on("counted", "change", ({ target }) => model.send({ copies: target.checked }));
  on("speed", "input", () => timer !== null && play(true));
  on("formula", "click", ({ target: { dataset: { setting, value } } }) =>
    setting && model.send({ setting, value: Number(value) }));
  on("reset", "click", () => {
    play(false);
    all.checked = !model.get("reveal");
    setStep(0);
    seen = 0;
    pass(true);
    model.send({ reset: true });
  });
  all.checked = !model.get("reveal");

  // ---- what Python sends
  const listeners = {
    "change:picture": () => width && draw(),
    "change:step": () => g && pass(),
    "change:message": () => part("message").replaceChildren(model.get("message")),
    "change:stale": () => area.classList.toggle("old", model.get("stale")),
  };
  for (const [event, listener] of Object.entries(listeners)) { model.on(event, listener); listener(); }
  // The first drawing waits until there is a width; others follow when it changes.
  const observer = new ResizeObserver(() => {
    const room = Math.min(868, el.clientWidth) - 12; // the padding is no room
    if (room <= 0 || room === width) return;
    [width, height] = [room, 0];
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
