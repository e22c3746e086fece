// The view of the digit pad: it follows the pen, sends the drawing, and shows what Python computes.

const EVERY = 100; // milliseconds between two drawings sent while the pen moves
const SHARP = 4; // pixels of the screen's drawing for each of the one that is sent
const SHARE = 190; // length of a bar that stands for 100 %, in pixels
const MAP = 56; // side of a feature map, at most

const PAD = `
  <div class="steps">
    <section class="role-input">
      <div class="title">drawing</div><div class="shape">by mouse, pen or finger</div>
      <div class="paper" role="img" aria-label="Drawing area">
        <canvas class="ink"></canvas><canvas class="lost"></canvas><i class="found"></i></div>
      <div class="controls"><button class="undo">Undo</button><button class="clear">Clear</button><button class="why">Why?</button></div>
      <div class="note legend"><span class="reason"></span><br>it loses 0 <i></i> <span class="most"></span></div>
    </section>
    <div class="sign">→</div>
    <section class="role-input entry">
      <div class="title">input x</div><div class="shape input-shape"></div>
      <div class="seen"><canvas class="ink" role="img" aria-label="What the network gets"></canvas><i></i></div>
      <div class="note scaled"></div>
    </section>
    <div class="sign">→</div>
    <section class="role-output">
      <label class="title">answer of the network <select class="choice"></select></label>
      <div class="said" role="status"></div>
      <div class="bars" role="list" aria-label="Probabilities"></div>
    </section>
  </div>
  <div class="controls samples" role="group" aria-label="Sample digits">Or take a real one:</div>
  <div class="role-output">
    <label class="title">feature maps after <select class="layer"></select></label>
    <span class="note maps-title"></span>
    <div class="maps" role="img" aria-label="Feature maps"></div>
  </div>`;

// Make a canvas with pixels [red, green, blue, opacity], 0 to 255, of number k; or paint one.
function paint([rows, columns], pixel, canvas = document.createElement("canvas")) {
  Object.assign(canvas, { width: columns, height: rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let k = 0; k < rows * columns; k++) image.data.set(pixel(k), 4 * k);
  context.putImageData(image, 0, 0);
  return canvas;
}
const ink = (pixels) => (k) => [0, 0, 0, pixels.getUint8(k)]; // in a dark theme made white
const tinted = ({ pixels, colors }, start = 0) => (k) => {
  const value = pixels.getInt8(start + k); // -127 to 127
  return [...colors[value < 0 ? 0 : 1], 2 * Math.abs(value)];
};

function render({ model, el }) {
  const { side, pen, samples } = model.get("look");
  el.classList.add("cnnlib-view", "cnnlib-pad");
  el.innerHTML = PAD;
  const part = (name) => el.querySelector(`.${name}`);
  const on = (name, event, act) => part(name).addEventListener(event, act);
  const tell = (name, value) => { model.set(name, value); model.save_changes(); };

  // ---- drawing: a picture (a sample, or set from Python), and strokes on it, lists of points
  const history = []; // the last is shown; undo goes back; drawn on a sample is drawn anew
  let sent = null; // the drawing as it was last sent
  let timer = null; // while the pen moves
  const paper = part("paper");

  function trace(canvas, times) {
    Object.assign(canvas, { width: times * side, height: times * side }); // and nothing is on it
    const brush = canvas.getContext("2d", { willReadFrequently: true });
    brush.scale(times, times);
    Object.assign(brush, { lineWidth: pen, lineCap: "round", lineJoin: "round", imageSmoothingEnabled: false });
    const { picture, strokes } = history.at(-1);
    if (picture) brush.drawImage(picture, 0, 0);
    for (const points of strokes) brush.stroke(new Path2D(`M${points.join("L")}h0.01`));
    return brush;
  }

  const draw = () => trace(paper.firstElementChild, SHARP);
  function change(picture, strokes, sample = false) {
    history.push({ picture, strokes, sample });
    draw();
  }

  function send() {
    clearTimeout(timer);
    timer = null;
    const { data } = trace(document.createElement("canvas"), 1).getImageData(0, 0, side, side);
    sent = new DataView(Uint8Array.from({ length: side ** 2 }, (_, k) => data[4 * k + 3]).buffer);
    tell("drawing", sent);
  }

  const put = (picture) => { change(picture, [], true); send(); };

  const place = ({ clientX, clientY }) => {
    const { left, top, width } = paper.getBoundingClientRect();
    return [clientX - left, clientY - top].map((way) => (way * side / width).toFixed(1));
  };
  on("paper", "pointerdown", (event) => {
    if (!event.isPrimary || event.button !== 0) return;
    event.preventDefault();
    paper.setPointerCapture(event.pointerId);
    part("said").ariaLive = "off"; // not a word for every move
    const { picture, strokes, sample } = history.at(-1);
    change(sample ? null : picture, [...strokes, [place(event)]]);
  });
  on("paper", "pointermove", (event) => {
    if (!paper.hasPointerCapture(event.pointerId)) return;
    history.at(-1).strokes.at(-1).push(...(event.getCoalescedEvents?.() ?? [event]).map(place));
    draw();
    timer ??= setTimeout(send, EVERY);
  });
  on("paper", "lostpointercapture", () => {
    part("said").ariaLive = "polite";
    send();
  });

  // ---- controls
  on("undo", "click", () => {
    if (history.length > 1) history.pop();
    draw();
    send();
  });
  on("clear", "click", () => put(null));
  on("why", "click", () => tell("why", !model.get("result").why));
  for (const name of ["choice", "layer"]) on(name, "change", ({ target }) => tell(name, target.value));
  samples.forEach((pixels, digit) => {
    const button = part("samples").appendChild(document.createElement("button"));
    const picture = button.appendChild(paint([side, side], ink(pixels)));
    picture.className = "ink";
    button.ariaLabel = `Sample ${digit}`;
    button.addEventListener("click", () => put(picture));
  });

  // ---- what Python sends
  function show() {
    const { texts, menus, why, places, input, answer, bars, maps, lost } = model.get("result");
    for (const [name, text] of Object.entries(texts)) {
      if (part(name).textContent !== text) part(name).textContent = text; // else it would be said again
    }
    for (const [name, [value, options]] of Object.entries(menus)) {
      const menu = part(name);
      if (menu.textContent !== options.join("")) menu.replaceChildren(...options.map((text) => new Option(text)));
      menu.value = value;
      menu.hidden = options.length === 1;
    }
    for (const [name, css] of Object.entries(places)) part(name).style.cssText = css;
    Object.assign(part("why"), { ariaPressed: why, disabled: !bars.length });
    if (lost) paint(lost.shape, tinted(lost), part("lost"));
    paint(input.shape, tinted(input), part("seen").firstElementChild);
    part("bars").innerHTML = bars.map(([text, share], k) => `<div role="listitem" class="${k === answer ? "best" : ""}">
      <b class="label">${k}</b><span style="width: ${SHARE * share}px"></span><span class="share">${text}</span></div>`).join("");
    const [shown, rows, columns] = maps.shape;
    const times = Math.max(1, Math.floor(MAP / Math.max(rows, columns)));
    part("maps").style.setProperty("--width", `${times * columns}px`);
    part("maps").replaceChildren(...[...Array(shown).keys()].map((c) =>
      paint([rows, columns], tinted(maps, c * rows * columns))));
  }

  function receive() {
    const pixels = model.get("drawing");
    if (pixels === sent) return;
    sent = pixels; // from Python, or from another view of the same pad
    change(paint([side, side], ink(pixels)), []);
  }

  model.on("change:drawing", receive);
  model.on("change:result", show);
  receive();
  show();
}

export default { render };
