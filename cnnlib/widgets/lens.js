// The view of the lens: it draws what Python computed, and looks up the numbers under the window.

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const plane = (role, more) => `<section class="role-${role}"><div class="title"></div>
  <div class="room"><div class="frame" ${more}><canvas></canvas><i></i></div></div>
  <div class="note"></div></section>`;
const LENS = `
  <div class="controls"><label>image <select></select></label>
    <label>filter <select></select></label></div>
  <div class="row">${plane("input", 'tabindex="0" role="application"')}<div class="sign">⊛</div>
    <section class="role-filter"><div class="title"></div>
      <div class="weights">${`<input inputmode="decimal">`.repeat(25)}</div></section>
    <div class="sign">=</div>${plane("output", 'role="img" aria-label="output"')}</div>
  <div class="row"><div class="products"></div><div class="sign">→</div>
    <b class="role-output" role="status"></b></div>
  <p class="message" role="alert"></p>`;

const number = ({ values }, k) => values.getFloat64(8 * k, true);
const rounded = (value, digits) => String(Number(value.toFixed(digits))).replace("-", "−");

function paint(canvas, { shape: [rows, columns], pixels }) {
  Object.assign(canvas, { width: columns, height: rows });
  canvas.style.width = `calc(${columns}px * var(--times))`;
  const bytes = new Uint8ClampedArray(pixels.buffer, pixels.byteOffset, pixels.byteLength);
  canvas.getContext("2d").putImageData(new ImageData(bytes, columns, rows), 0, 0);
}

function render({ model, el }) {
  el.classList.add("cnnlib-view", "cnnlib-lens");
  el.innerHTML = LENS;
  const all = (query) => [...el.querySelectorAll(query)];
  const write = (query, texts) => all(query).forEach((place, k) => { place.textContent = texts[k]; });
  const [frames, fields, menus] = [all(".frame"), all("input"), all("select")];
  let [times, size] = [1, 3]; // pixels on the screen for one of the image; side of the filter

  function show() {
    const [row, column] = model.get("place");
    const { planes, weights, chosen, titles, notes } = model.get("shown");
    const [x, output] = planes;
    times = Math.min(256 / x.shape[1], 300 / x.shape[0]);
    times = times > 1 ? Math.floor(times) : times;
    size = Math.sqrt(weights.length);
    for (const [name, value] of Object.entries({ row, column, times, size })) el.style.setProperty(`--${name}`, value);
    frames.forEach((frame, k) => paint(frame.firstChild, planes[k]));
    frames[0].ariaLabel = `${chosen[0]}: arrow keys move the window`;
    menus.forEach((menu, k) => { menu.value = chosen[k]; });
    fields.forEach((field, k) => {
      const text = k < weights.length ? rounded(weights[k], 3) : "";
      if (text !== field.defaultValue) field.value = field.defaultValue = text; // else it may be typed in
      field.hidden = !text;
      field.ariaLabel = `weight, row ${Math.floor(k / size)}, column ${k % size}`;
    });
    all(".products")[0].innerHTML = weights.map((weight, k) => {
      const pixel = number(x, (row + Math.floor(k / size)) * x.shape[1] + column + (k % size));
      return `<div class="${pixel < 0.46 ? "dark" : ""}" style="--pixel: ${pixel}">${pixel.toFixed(2)} ·
        ${rounded(weight, 3)} = <b>${rounded(pixel * weight, 2)}</b></div>`;
    }).join("");
    const sum = rounded(number(output, row * output.shape[1] + column), 3);
    write("[role=status]", [`output[${row}, ${column}] = ${sum}`]);
    write("section .title", titles);
    write(".note", notes);
    write(".message", [model.get("message")]);
  }

  function go(place) {
    const { shape } = model.get("shown").planes[1];
    model.set("place", place.map((at, axis) => Math.max(0, Math.min(shape[axis] - 1, at))));
    model.save_changes();
  }

  frames.forEach((frame, k) => frame.addEventListener("pointermove", ({ clientX, clientY }) => {
    const { left, top, width } = frame.getBoundingClientRect();
    const pixel = width / model.get("shown").planes[k].shape[1]; // on the screen
    const before = k ? 0 : (size - 1) / 2; // the window has the pointer in its middle
    if (width) go([clientY - top, clientX - left].map((way) => Math.floor(way / pixel) - before));
  }));
  frames[0].addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    go(model.get("place").map((at, axis) => at + arrow[axis] * (event.shiftKey ? 10 : 1)));
  });
  fields.forEach((field, k) => {
    field.addEventListener("focus", () => field.select());
    field.addEventListener("change", () => {
      model.send({ weight: k, value: field.value });
      field.value = field.defaultValue; // until Python has taken the new one
    });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") field.blur(); // else it would wait for the field to be left
      const [down, right] = ARROWS[event.key] ?? [0, 0];
      const whole = field.selectionEnd - field.selectionStart === field.value.length;
      if (!down && !(right && whole)) return; // left and right move within the number
      event.preventDefault();
      fields[k + down * size + right]?.focus();
    });
  });
  Object.entries(model.get("names")).forEach(([what, names], k) => {
    menus[k].append(...names.map((name) => new Option(name)));
    menus[k].addEventListener("change", () => model.send({ [what]: menus[k].value }));
  });
  for (const name of ["shown", "place", "message"]) model.on(`change:${name}`, show);
  show();
}

export default { render };
