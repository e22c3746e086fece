// Window Explorers on a page without Python: each has all its pictures, computed when the site was
// built. Stands behind the view's own module, of which `render` is known here.

function live(place, { look, reveal, sliders, pictures }) {
  const state = { look, reveal, step: 0, message: "", stale: false };
  const listeners = {};
  const start = sliders.map(({ value }) => value);
  const set = (name, value) => {
    state[name] = value;
    for (const listener of listeners[`change:${name}`] ?? []) listener();
  };
  const model = {
    set, save_changes() {}, off() {},
    get: (name) => state[name],
    on: (event, listener) => (listeners[event] ??= []).push(listener),
    send({ setting, value, reset }) {
      const chosen = sliders.findIndex(({ name, min, max }) => name === setting && value >= min && value <= max);
      if (reset) choose(start);
      else if (chosen >= 0) choose(inputs.map((input, k) => (k === chosen ? value : Number(input.value))));
      else set("message", "Here you look; in the notebook you can change this, too.");
    },
  };
  const [controls, view] = [document.createElement("div"), document.createElement("div")];
  controls.className = "sliders";
  controls.innerHTML = sliders.map(({ label, min, max, value }) => `<label>${label}
    <input type="range" min="${min}" max="${max}" value="${value}"><output>${value}</output></label>`).join("");
  const inputs = [...controls.querySelectorAll("input")];

  function choose(values) {
    inputs.forEach((input, k) => { input.value = input.nextSibling.value = values[k]; });
    const found = pictures[values.join()];
    const possible = typeof found !== "string";
    set("message", possible ? "" : found);
    set("stale", !possible);
    if (possible) set("picture", found);
  }

  for (const { grids } of Object.values(pictures)) {
    for (const grid of Object.values(grids ?? {})) { // from base64, as a message from Python has it
      grid.shade = new DataView(Uint8Array.from(atob(grid.shade), (letter) => letter.charCodeAt(0)).buffer);
    }
  }
  choose(start);
  place.replaceChildren(controls, view);
  render({ model, el: view });
  for (const input of inputs) input.addEventListener("input", () => choose(inputs.map((one) => Number(one.value))));
}

for (const [name, states] of Object.entries(STATES)) live(document.getElementById(`live-${name}`), states);
