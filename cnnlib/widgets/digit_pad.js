// The view of the digit pad. It follows the pen and sends the drawing; Python sends back a result:
// the box, the network's picture, the probabilities, the feature maps. Nothing is computed here.
//
// Read from the bottom: `render` starts everything, `send` sends a drawing, `show` shows a result.

const EVERY = 100; // milliseconds between two drawings sent while the pen moves
const SHARE = 190; // length of a bar that stands for 100 %, in pixels
const INPUT = 168; // side of the network's picture
const MAP = 56; // side of a feature map, at most

const PAD = `
  <div class="steps">
    <section class="role-input">
      <div class="title">drawing</div><div class="shape size"></div>
      <div class="paper"><canvas class="ink base"></canvas>
        <svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Drawing area, for mouse, pen or finger">
          <g class="strokes"></g><rect class="found"/></svg></div>
      <div class="buttons"><button type="button" class="undo">Undo</button>
        <button type="button" class="clear">Clear</button></div>
    </section>
    <div class="sign" aria-hidden="true">→</div>
    <section class="role-input">
      <div class="title">input x</div><div class="shape input-shape"></div>
      <div class="frame"><canvas class="ink input" role="img"></canvas>
        <svg xmlns="http://www.w3.org/2000/svg" aria-hidden="true"><path class="middle"/></svg></div>
      <div class="note scaled"></div>
    </section>
    <div class="sign" aria-hidden="true">→</div>
    <section class="role-output">
      <div class="title">answer</div>
      <div class="said" role="status" aria-atomic="true"></div>
      <div class="bars" role="list" aria-label="Probabilities"></div>
    </section>
  </div>
  <div class="samples" role="group" aria-label="Sample digits"><span>Or take a real one:</span></div>
  <div class="role-output">
    <label class="title">feature maps after <select class="layer" data-lm-suppress-shortcuts="true"></select></label>
    <span class="shape maps-title"></span>
    <div class="maps" role="img"></div>
  </div>`;

// Ink as black of some opacity; the style sheet makes it white in a dark theme.
function paint(canvas, { rows, columns, pixels }) {
  Object.assign(canvas, { width: columns, height: rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let k = 0; k < rows * columns; k++) image.data[4 * k + 3] = pixels.getUint8(k);
  context.putImageData(image, 0, 0);
}

// Feature maps as shades of the role's colour, or of two colours where some numbers are negative.
function paintMaps(canvases, { shape: [, rows, columns], pixels, signed }, colour, signs) {
  const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
  const colours = (signed ? signs : [colour, colour]).map(rgb);
  canvases.forEach((canvas, c) => {
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let k = 0; pixels && k < rows * columns; k++) {
      const value = pixels.getInt8(c * rows * columns + k); // -127 to 127
      image.data.set(colours[value < 0 ? 0 : 1], 4 * k);
      image.data[4 * k + 3] = 2 * Math.abs(value);
    }
    context.putImageData(image, 0, 0);
  });
}

function render({ model, el }) {
  const look = model.get("look");
  const { side } = look;
  el.classList.add("cnnlib-pad");
  el.innerHTML = PAD;
  for (const [role, colour] of Object.entries(look.line)) {
    el.style.setProperty(`--${role}`, colour);
    el.style.setProperty(`--${role}-text`, look.text[role]);
  }
  const part = (name) => el.querySelector(`.${name}`);
  const base = part("base");
  const area = part("paper").querySelector("svg");
  area.setAttribute("viewBox", `0 0 ${side} ${side}`);

  // What is drawn: a picture below (a sample, or set from Python), and strokes on it, each a list
  // of points. `before` holds what undo goes back to.
  let drawn = { pixels: null, strokes: [] };
  let before = [];
  let sent = null; // the drawing as it was last sent
  let timer = null; // while the pen moves
  let pen = null; // id of the pointer that draws

  // ---- drawing

  const path = (points) => `M${points.map((point) => point.join(" ")).join("L")}`
    + (points.length === 1 ? "h0.01" : ""); // a dot
  function draw() {
    const { pixels, strokes } = drawn;
    paint(base, { rows: side, columns: side, pixels: pixels ?? new DataView(new ArrayBuffer(side ** 2)) });
    part("strokes").innerHTML = strokes
      .map((points) => `<path d="${path(points)}" stroke-width="${look.pen}"/>`).join("");
  }

  const raster = document.createElement("canvas");
  raster.width = raster.height = side;
  const brush = raster.getContext("2d", { willReadFrequently: true });
  function send() {
    clearTimeout(timer);
    timer = null;
    brush.clearRect(0, 0, side, side);
    brush.drawImage(base, 0, 0);
    Object.assign(brush, { lineWidth: look.pen, lineCap: "round", lineJoin: "round" });
    for (const points of drawn.strokes) brush.stroke(new Path2D(path(points)));
    const rgba = brush.getImageData(0, 0, side, side).data;
    const bytes = new Uint8Array(side ** 2);
    for (let k = 0; k < bytes.length; k++) bytes[k] = rgba[4 * k + 3];
    sent = new DataView(bytes.buffer);
    model.set("drawing", sent);
    model.save_changes();
  }

  function change(next) {
    before.push(drawn);
    drawn = next;
    draw();
  }

  const place = (event) => {
    const box = area.getBoundingClientRect();
    return [(event.clientX - box.left) * side / box.width, (event.clientY - box.top) * side / box.height]
      .map((number) => Math.round(10 * number) / 10);
  };
  area.addEventListener("pointerdown", (event) => {
    if (pen !== null || event.button !== 0) return;
    event.preventDefault();
    pen = event.pointerId;
    area.setPointerCapture(pen);
    part("said").setAttribute("aria-live", "off"); // not a word for every move
    change({ ...drawn, strokes: [...drawn.strokes, [place(event)]] });
    timer = setTimeout(send, EVERY);
  });
  area.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pen) return;
    const stroke = drawn.strokes.at(-1);
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length ? moves : [event]) stroke.push(place(move));
    part("strokes").lastElementChild.setAttribute("d", path(stroke));
    timer ??= setTimeout(send, EVERY);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    area.addEventListener(name, (event) => {
      if (event.pointerId !== pen) return;
      pen = null;
      part("said").setAttribute("aria-live", "polite");
      send();
    });
  }
  part("clear").addEventListener("click", () => {
    if (!drawn.pixels && !drawn.strokes.length) return;
    change({ pixels: null, strokes: [] });
    send();
  });
  part("undo").addEventListener("click", () => {
    if (!before.length) return;
    drawn = before.pop();
    draw();
    send();
  });

  // ---- samples and layers

  model.get("samples").forEach((sample, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Sample ${sample.label}`);
    button.append(document.createElement("canvas"));
    button.firstChild.className = "ink";
    paint(button.firstChild, sample);
    button.addEventListener("click", () => model.send({ sample: number }));
    part("samples").append(button);
  });
  for (const name of model.get("layers")) part("layer").append(new Option(name));
  part("layer").addEventListener("change", ({ target }) => {
    model.set("layer", target.value);
    model.save_changes();
  });

  // ---- what Python sends

  let maps = { key: null, canvases: [] };
  function layMaps({ shape, shown }) {
    const [, rows, columns] = shape;
    const key = String([shape, shown]);
    if (maps.key === key) return;
    const times = Math.min(24, Math.max(1, Math.floor(MAP / Math.max(rows, columns))));
    maps = { key, canvases: [] };
    for (let c = 0; c < shown; c++) {
      const canvas = document.createElement("canvas");
      Object.assign(canvas, { width: columns, height: rows });
      canvas.style.width = `${times * columns}px`;
      canvas.style.height = `${times * rows}px`;
      maps.canvases.push(canvas);
    }
    part("maps").replaceChildren(...maps.canvases);
  }

  let rows = [];
  function layBars(labels) {
    if (rows.length === labels.length) return;
    part("bars").replaceChildren(...labels.map((label) => {
      const row = document.createElement("div");
      row.setAttribute("role", "listitem");
      row.innerHTML = '<span class="label"></span><span class="measure"><span class="bar"></span>'
        + '<span class="share"></span></span>';
      row.firstChild.textContent = label;
      return row;
    }));
    rows = [...part("bars").children];
  }

  function show() {
    const { box, input, inputShape, labels, shares, texts, answer, said, scaled, maps: sentMaps } = model.get("result");
    const found = part("found");
    const [top, left, height, width] = box ?? [0, 0, 0, 0];
    for (const [name, value] of Object.entries({ x: left, y: top, width, height })) found.setAttribute(name, value);
    part("size").textContent = box ? `ink in ${height} × ${width} of ${side} × ${side}` : `${side} × ${side}`;
    paint(part("input"), input);
    const times = INPUT / Math.max(input.rows, input.columns);
    const frame = part("frame");
    frame.style.width = `${times * input.columns}px`;
    frame.style.height = `${times * input.rows}px`;
    frame.querySelector("svg").setAttribute("viewBox", `0 0 ${input.columns} ${input.rows}`);
    const [x, y] = [Math.floor(input.columns / 2) + 0.5, Math.floor(input.rows / 2) + 0.5];
    part("middle").setAttribute("d", `M${x - 1} ${y}h2M${x} ${y - 1}v2`);
    part("input").setAttribute("aria-label", `What the network gets, ${inputShape}. ${scaled}`);
    part("input-shape").textContent = `(C, H, W) = ${inputShape}`;
    part("scaled").textContent = scaled && `${scaled}, its centre of mass on the cross`;
    layBars(labels);
    rows.forEach((row, k) => {
      row.classList.toggle("best", k === answer);
      row.querySelector(".bar").style.width = `${SHARE * (shares[k] ?? 0)}px`;
      row.querySelector(".share").textContent = texts[k] ?? "";
    });
    if (part("said").textContent !== said) part("said").textContent = said;
    layMaps(sentMaps);
    paintMaps(maps.canvases, sentMaps, look.line.output, look.signs);
    const more = sentMaps.shown < sentMaps.shape[0] ? `, the first ${sentMaps.shown}` : "";
    const title = `${sentMaps.title}${more}${sentMaps.range ? `, ${sentMaps.range}` : ""}`;
    part("maps-title").textContent = title;
    part("maps").setAttribute("aria-label", `Feature maps after ${model.get("layer")}, ${title}`);
    part("layer").value = model.get("layer");
  }

  function receive() {
    const drawing = model.get("drawing");
    if (drawing === sent) return;
    sent = drawing; // from Python, or from another view of the same pad
    change({ pixels: drawing, strokes: [] });
  }

  model.on("change:drawing", receive);
  model.on("change:result", show);
  receive();
  before = [];
  show();
  return () => {
    clearTimeout(timer);
    model.off("change:drawing", receive);
    model.off("change:result", show);
  };
}

export default { render };
