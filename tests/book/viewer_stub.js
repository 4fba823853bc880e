// Runs the viewer's script without a browser: the page's parts as plain objects, a canvas that
// keeps what is drawn. Reads {parts, script, actions} from the standard input and writes a list of
// what each "read" action found.
const decoder = new TextDecoder();
const chunks = [];
for await (const chunk of Deno.stdin.readable) chunks.push(decoder.decode(chunk, { stream: true }));
const input = JSON.parse(chunks.join(""));

class Context {
  constructor(canvas) {
    this.canvas = canvas;
    this.drawn = [];
    return new Proxy(this, {
      get: (self, name) => {
        if (name in self) return self[name];
        return (...values) => self.drawn.push([name, ...values.filter((v) => !(v instanceof El))]);
      },
      set: (self, name, value) => {
        self[name] = value;
        if (name !== "picture") self.drawn.push(["=", name, value]);
        return true;
      },
    });
  }
  createImageData(width, height) {
    return { width, height, data: new Uint8ClampedArray(4 * width * height) };
  }
  putImageData(picture) {
    shown = picture;
  }
}

class El {
  constructor(part) {
    Object.assign(this, { style: {}, listeners: {}, hidden: false, disabled: false, clientWidth: 500 });
    this.attributes = { ...part.attributes };
    this.textContent = part.text || "";
    this.value = part.attributes.value || "";
    this.context = new Context(this);
  }
  getAttribute(name) {
    return this.attributes[name];
  }
  setAttribute(name, value) {
    this.attributes[name] = value;
  }
  addEventListener(type, listener) {
    (this.listeners[type] ||= []).push(listener);
  }
  getContext() {
    return this.context;
  }
  getBoundingClientRect() {
    return { left: 0, top: 0, width: parseFloat(this.style.width), height: parseFloat(this.style.height) };
  }
  querySelector(selector) {
    return parts[/"(.*)"/.exec(selector)[1]];
  }
}

let shown = null;
const parts = Object.fromEntries(input.parts.map((part) => [part.attributes["data-part"], new El(part)]));
parts.canvas.parentElement = new El({ attributes: {} });
const root = new El({ attributes: {} });
globalThis.window = { addEventListener: () => {}, requestAnimationFrame: (draw) => draw(), devicePixelRatio: 1 };
globalThis.document = {
  createElement: () => new El({ attributes: {} }),
  querySelectorAll: () => (root.getAttribute("data-started") ? [] : [root]),
};
(0, eval)(input.script);
for (let i = 0; i < 400 && root.getAttribute("data-ready") !== "yes"; i++) {
  await new Promise((done) => setTimeout(done, 5));
}

const results = [];
for (const { part, type, value, read, ...event } of input.actions) {
  if (value !== undefined) parts[part].value = value;
  if (type) {
    let prevented = false;
    const sent = { type, buttons: 0, movementX: 1, ...event, preventDefault: () => (prevented = true) };
    parts.canvas.context.drawn.length = 0;
    for (const listener of parts[part].listeners[type] || []) listener(sent);
    if (read) results.push({ prevented });
  } else if (read) results.push({});
  if (!read) continue;
  Object.assign(results.at(-1), {
    ready: root.getAttribute("data-ready"),
    values: parts.values.textContent,
    live: parts.values.getAttribute("aria-live"),
    label: parts.canvas.getAttribute("aria-label"),
    position: parts.position.textContent,
    slice: [Number(parts.slice.value), Number(parts.slice.max)],
    scale: parts.scale.hidden ? "" : [parts["scale-low"], parts["scale-high"], parts["scale-unit"]].map((e) => e.textContent).join(" "),
    size: [parseFloat(parts.canvas.style.width), parseFloat(parts.canvas.style.height)],
    picture: { width: shown.width, height: shown.height, data: Array.from(shown.data) },
    drawn: parts.canvas.context.drawn.slice(),
  });
}
console.log(JSON.stringify(results));
