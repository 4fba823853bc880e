/* The image viewer: unpacks the volumes beside it and draws slices of them on a canvas.
   Voxel (i, j, k) runs to the patient's right, front and top; a picture's columns and rows run the
   other way, so that the patient's right is on its left (radiological convention). */
(function () {
  "use strict";

  const AXES = ["x", "y", "z"];
  // World axes across the picture, up the picture, and through it; letters at its left and right.
  const PLANES = {
    axial: { across: 0, up: 1, through: 2, sides: ["R", "L"] },
    coronal: { across: 0, up: 2, through: 1, sides: ["R", "L"] },
    sagittal: { across: 1, up: 2, through: 0, sides: ["A", "P"] },
  };
  const TALLEST = 440; // CSS pixels
  const BAR = 30; // mm
  const WHEEL_STEP = 30; // pixels of scrolling for one slice
  const WHEEL_MOST = 4; // slices for one turn
  const SWIPE_START = 8; // pixels before a touch counts as a swipe
  const SWIPE_STEP = 5; // pixels of swiping for one slice

  function bytesOf(base64) {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  }

  // Each level is stored less the median of the voxels before it along the three axes.
  async function unpack(base64, shape) {
    const packed = new Blob([bytesOf(base64)]).stream();
    const plain = packed.pipeThrough(new DecompressionStream("deflate"));
    const levels = new Uint8Array(await new Response(plain).arrayBuffer());
    const [nx, ny, nz] = shape;
    let at = 0;
    for (let k = 0; k < nz; k++) {
      for (let j = 0; j < ny; j++) {
        for (let i = 0; i < nx; i++, at++) {
          const a = i ? levels[at - 1] : 0;
          const b = j ? levels[at - nx] : 0;
          const c = k ? levels[at - nx * ny] : 0;
          levels[at] += Math.max(Math.min(a, b), Math.min(Math.max(a, b), c)); // modulo 256
        }
      }
    }
    return levels;
  }

  function valueOf(volume, level) {
    return volume.low + ((level - 1) * (volume.high - volume.low)) / (volume.top - 1);
  }

  // For each level, a number from 0 to 255: where its value lies between two limits.
  function ramp(volume, limits) {
    const result = new Uint8Array(volume.top + 1);
    for (let level = 1; level <= volume.top; level++) {
      const share = (valueOf(volume, level) - limits[0]) / (limits[1] - limits[0]);
      result[level] = Math.round(255 * Math.min(1, Math.max(0, share)));
    }
    return result;
  }

  function clamp(value, most) {
    return Math.min(most, Math.max(0, value));
  }

  // A file beside the page comes by a script tag, which also works where the page lies on a disk.
  function read(part, ready, failed) {
    const source = part.getAttribute("data-source");
    if (!source) return ready(JSON.parse(part.textContent));
    const script = document.createElement("script");
    script.src = source;
    script.onload = () => ready(window.cpmViewerData[source]);
    script.onerror = failed;
    document.head.append(script);
  }

  function start(root, data) {
    const part = (name) => root.querySelector('[data-part="' + name + '"]');
    const canvas = part("canvas");
    const context = canvas.getContext("2d");
    const small = document.createElement("canvas");
    const slider = part("slice");
    const shape = data.shape;
    const stride = [1, shape[0], shape[0] * shape[1]];
    const levels = {};
    const target = data.target.map((x, axis) =>
      Math.round((x - data.origin[axis]) / data.voxelSize)
    );
    let cross = target.slice(); // voxel whose slices are shown
    let pointed = null; // voxel under the pointer
    let pending = false;
    let scale = 1; // CSS pixels a voxel

    const plane = () => PLANES[part("plane").value];
    const world = (voxel, axis) => data.origin[axis] + data.voxelSize * voxel[axis];
    const atTarget = (voxel) => voxel.every((n, axis) => n === target[axis]);

    function offset(voxel) {
      return voxel[0] + stride[1] * voxel[1] + stride[2] * voxel[2];
    }

    function reading(key, voxel) {
      const volume = data.volumes[key];
      if (!levels[key]) return volume.title + " loading";
      const level = levels[key][offset(voxel)];
      if (level === 0) return volume.title + " no value";
      const least = level === volume.top && volume.clipped ? "at least " : "";
      const number = valueOf(volume, level).toFixed(volume.decimals);
      return volume.title + " " + least + number + (volume.unit ? " " + volume.unit : "");
    }

    function tell(spoken) {
      const voxel = pointed || cross;
      const where = pointed ? "Pointer" : atTarget(cross) ? "Target" : "Cross";
      const place = AXES.map((name, axis) => name + " " + world(voxel, axis).toFixed(1)).join(", ");
      const values = Object.keys(data.volumes).map((key) => reading(key, voxel));
      part("values").setAttribute("aria-live", spoken ? "polite" : "off");
      part("values").textContent = where + " (" + place + " mm): " + values.join("; ") + ".";
    }

    // The picture of a slice, one pixel a voxel.
    function compose(p) {
      const columns = shape[p.across];
      const rows = shape[p.up];
      const picture = context.createImageData(columns, rows);
      const base = levels[part("base").value];
      const over = levels[part("overlay").value];
      const grey = base && greys(part("base").value);
      const tint = over && tints(part("overlay").value);
      const alpha = Number(part("opacity").value) / 100;
      let at = 0;
      for (let row = 0; row < rows; row++) {
        let voxel = stride[p.through] * cross[p.through] + stride[p.up] * (rows - 1 - row);
        voxel += stride[p.across] * (columns - 1);
        for (let column = 0; column < columns; column++) {
          const g = base ? grey[base[voxel]] : 0;
          const level = over ? over[voxel] : 0;
          for (let c = 0; c < 3; c++) {
            const mixed = level ? g + alpha * (tint.colours[3 * tint.ramp[level] + c] - g) : g;
            picture.data[at + c] = Math.round(mixed);
          }
          picture.data[at + 3] = 255;
          at += 4;
          voxel -= stride[p.across];
        }
      }
      return picture;
    }

    const made = {};
    function greys(key) {
      made["grey " + key] ||= ramp(data.volumes[key], data.volumes[key].window);
      return made["grey " + key];
    }
    function tints(key) {
      const overlay = data.overlays[key];
      made["tint " + key] ||= {
        ramp: ramp(data.volumes[key], overlay.limits),
        colours: bytesOf(overlay.colours),
      };
      return made["tint " + key];
    }

    function fit(p) {
      const stage = canvas.parentElement;
      const widest = Math.max(shape[0], shape[1]);
      const highest = Math.max(shape[1], shape[2]);
      scale = Math.max(0.5, Math.min(stage.clientWidth / widest, TALLEST / highest));
      stage.style.minHeight = Math.round(highest * scale) + "px"; // nothing below it jumps
      const ratio = window.devicePixelRatio || 1;
      const width = Math.round(shape[p.across] * scale);
      const height = Math.round(shape[p.up] * scale);
      canvas.style.width = width + "px";
      canvas.style.height = height + "px";
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
      return [width, height];
    }

    // Centre of a voxel in the picture, CSS pixels.
    function spot(p, voxel) {
      const x = (shape[p.across] - 0.5 - voxel[p.across]) * scale;
      const y = (shape[p.up] - 0.5 - voxel[p.up]) * scale;
      return [x, y];
    }

    function stroke(path, colour) {
      context.beginPath();
      path();
      context.lineWidth = 3.5;
      context.strokeStyle = "rgba(0, 0, 0, 0.6)";
      context.stroke();
      context.lineWidth = 1.5;
      context.strokeStyle = colour;
      context.stroke();
    }

    function ticks([x, y], from, to) {
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + from * dx, y + from * dy);
        context.lineTo(x + to * dx, y + to * dy);
      }
    }

    function write(text, x, y, align) {
      context.textAlign = align;
      context.lineWidth = 3;
      context.strokeStyle = "#000000";
      context.strokeText(text, x, y);
      context.fillStyle = "#ffffff";
      context.fillText(text, x, y);
    }

    function annotate(p, width, height) {
      const mm = scale / data.voxelSize;
      const away = Math.abs(cross[p.through] - target[p.through]) * data.voxelSize;
      const radius = data.diameter / 2;
      if (away <= radius) {
        const [x, y] = spot(p, target);
        context.setLineDash(away === 0 ? [] : [3, 3]);
        stroke(() => context.arc(x, y, radius * mm, 0, 2 * Math.PI), data.mark);
        context.setLineDash([]);
        stroke(() => ticks([x, y], 2.2 * radius * mm, 4.5 * radius * mm), data.mark);
      }
      if (!atTarget(cross)) stroke(() => ticks(spot(p, cross), 4, 11), "#ffffff");
      context.font = "13px sans-serif";
      context.textBaseline = "middle";
      write(p.sides[0], 5, height / 2, "left");
      write(p.sides[1], width - 5, height / 2, "right");
      const end = width - 10;
      stroke(() => {
        context.moveTo(end - BAR * mm, height - 10);
        context.lineTo(end, height - 10);
      }, "#ffffff");
      write(BAR / 10 + " cm", end - (BAR * mm) / 2, height - 20, "center");
      return away;
    }

    function describe(p, away) {
      const axis = p.through;
      const place = AXES[axis] + " = " + world(cross, axis).toFixed(1) + " mm";
      const base = data.volumes[part("base").value].title;
      const over = data.volumes[part("overlay").value];
      const mark = away === 0 ? "; the target is on this slice" : "";
      const name = part("plane").value + " slice, " + place + ", " + base;
      canvas.setAttribute("aria-label", name + (over ? " with " + over.title : "") + mark);
      slider.max = String(shape[axis] - 1);
      slider.value = String(cross[axis]);
      slider.setAttribute("aria-valuetext", place);
      part("position").textContent = place;
    }

    function legend() {
      const key = part("overlay").value;
      part("scale").hidden = !key;
      part("opacity").disabled = !key;
      if (!key) return;
      const colours = tints(key).colours;
      const stops = [];
      for (let i = 0; i < 256; i += 15) {
        stops.push("rgb(" + Array.from(colours.slice(3 * i, 3 * i + 3)).join(",") + ")");
      }
      part("scale-colours").style.background = "linear-gradient(to right," + stops.join(",") + ")";
      part("scale-low").textContent = data.volumes[key].title + " " + data.overlays[key].limits[0];
      part("scale-high").textContent = "≥ " + data.overlays[key].limits[1];
      part("scale-unit").textContent = data.volumes[key].unit;
    }

    function draw() {
      pending = false;
      const p = plane();
      const [width, height] = fit(p);
      const picture = compose(p);
      small.width = picture.width;
      small.height = picture.height;
      small.getContext("2d").putImageData(picture, 0, 0);
      context.imageSmoothingEnabled = true;
      context.imageSmoothingQuality = "high";
      context.drawImage(small, 0, 0, width, height);
      describe(p, annotate(p, width, height));
    }

    function refresh(spoken) {
      tell(spoken);
      if (pending) return;
      pending = true;
      window.requestAnimationFrame(draw);
    }

    function move(axis, steps) {
      const before = cross[axis];
      cross[axis] = clamp(before + steps, shape[axis] - 1);
      if (pointed) pointed[axis] = axis === plane().through ? cross[axis] : pointed[axis];
      return cross[axis] !== before;
    }

    function voxelAt(event) {
      const p = plane();
      const box = canvas.getBoundingClientRect();
      const column = Math.floor(((event.clientX - box.left) / box.width) * shape[p.across]);
      const row = Math.floor(((event.clientY - box.top) / box.height) * shape[p.up]);
      const voxel = cross.slice();
      voxel[p.across] = clamp(shape[p.across] - 1 - column, shape[p.across] - 1);
      voxel[p.up] = clamp(shape[p.up] - 1 - row, shape[p.up] - 1);
      return voxel;
    }

    function home() {
      cross = target.slice();
      pointed = null;
      refresh(true);
    }

    function listenToKeys() {
      const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 };
      Object.assign(steps, { PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity });
      canvas.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.altKey || event.metaKey) return;
        const p = plane();
        if (event.key === "Escape") return canvas.blur();
        if (event.key === "t" || event.key === "T") home();
        else if (!(event.key in steps)) return;
        else {
          pointed = null;
          const vertical = event.key === "ArrowUp" || event.key === "ArrowDown";
          if (!event.shiftKey || !event.key.startsWith("Arrow")) move(p.through, steps[event.key]);
          else if (vertical) move(p.up, steps[event.key]);
          else move(p.across, -steps[event.key]); // the patient's right is on the left
          refresh(true);
        }
        event.preventDefault();
      });
    }

    // The wheel belongs to the picture while it has the focus, which a click gives it, Escape takes
    // away and a frame shows; at the first and last slice the page scrolls on.
    function listenToWheel() {
      let active = false;
      let turned = 0;
      canvas.addEventListener("focus", () => (active = true));
      canvas.addEventListener("blur", () => (active = false));
      canvas.addEventListener(
        "wheel",
        (event) => {
          if (!active || event.ctrlKey || !event.deltaY) return;
          const axis = plane().through;
          const last = event.deltaY > 0 ? 0 : shape[axis] - 1;
          if (cross[axis] === last) return;
          event.preventDefault();
          turned += event.deltaY * [1, 16, 100][event.deltaMode || 0];
          const steps = Math.trunc(turned / WHEEL_STEP);
          turned -= steps * WHEEL_STEP;
          const slices = Math.max(-WHEEL_MOST, Math.min(WHEEL_MOST, steps));
          if (steps && move(axis, -slices)) refresh(false);
        },
        { passive: false }
      );
    }

    function listenToPointer() {
      let touch = null; // where a finger came down, and on which slice
      canvas.addEventListener("pointerdown", (event) => {
        if (event.pointerType === "touch") {
          touch = { x: event.clientX, slice: cross[plane().through], swiped: false };
          return;
        }
        cross = voxelAt(event);
        refresh(false);
      });
      canvas.addEventListener("pointermove", (event) => {
        if (event.pointerType !== "touch") {
          pointed = voxelAt(event);
          if (event.buttons & 1) cross = pointed.slice();
        } else if (touch) {
          const way = event.clientX - touch.x;
          touch.swiped ||= Math.abs(way) > SWIPE_START;
          if (!touch.swiped) return;
          const axis = plane().through;
          move(axis, touch.slice + Math.round(way / SWIPE_STEP) - cross[axis]);
        }
        refresh(false);
      });
      canvas.addEventListener("pointerup", (event) => {
        if (touch && !touch.swiped) cross = voxelAt(event);
        if (touch) refresh(true);
        touch = null;
      });
      canvas.addEventListener("pointercancel", () => (touch = null));
      canvas.addEventListener("pointerleave", () => {
        pointed = null;
        refresh(false);
      });
    }

    function listen() {
      listenToKeys();
      listenToWheel();
      listenToPointer();
      slider.addEventListener("input", () => {
        const axis = plane().through;
        pointed = null;
        move(axis, Number(slider.value) - cross[axis]);
        refresh(true);
      });
      for (const name of ["plane", "base", "overlay", "opacity"]) {
        part(name).addEventListener("input", () => {
          legend();
          refresh(name !== "opacity");
        });
      }
      part("home").addEventListener("click", home);
      if (window.ResizeObserver) new ResizeObserver(() => refresh(false)).observe(root);
    }

    async function load() {
      const first = [part("base").value, part("overlay").value].filter((key) => key);
      const keys = new Set([...first, ...Object.keys(data.volumes)]);
      for (const key of keys) {
        levels[key] = await unpack(data.volumes[key].levels, shape);
        delete data.volumes[key].levels;
        refresh(false);
      }
      root.setAttribute("data-ready", "yes");
    }

    legend();
    listen();
    load().catch(() => {
      part("values").textContent =
        "The images cannot be shown: this browser is too old to unpack them.";
    });
  }

  function open(root) {
    const part = (name) => root.querySelector('[data-part="' + name + '"]');
    const missing = () => {
      part("values").textContent = "The images cannot be shown: their file is not beside the page.";
    };
    read(part("data"), (data) => start(root, data), missing);
  }

  // Several viewers on a page: each asks for its images when the reader comes near.
  function openWhenNear(root) {
    if (!window.IntersectionObserver) return open(root);
    const near = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        near.disconnect();
        open(root);
      },
      { rootMargin: "400px" }
    );
    near.observe(root);
  }

  for (const root of document.querySelectorAll(".cpm-viewer:not([data-started])")) {
    root.setAttribute("data-started", "yes");
    openWhenNear(root);
  }
})();
