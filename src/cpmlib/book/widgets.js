/* Figures that move (cpmlib.book.widgets). Bokeh's script is asked for by the reader alone. */
(() => {
  if (window.cpmWidgets) return;
  const kinds = window.cpmWidgets = {};
  const here = document.currentScript.src.replace(/[^/]*$/, "");
  const loading = {};
  /* A classic script: browsers refuse modules and fetch on pages that are files. */
  const load = name => loading[name] ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = here + name;
    script.onload = done;
    script.onerror = () => failed(new Error(`${name} could not be loaded`));
    document.head.append(script);
  });

  const start = async (root, part) => {
    root.dataset.state = "loading";
    part("start").disabled = true;
    try {
      await Promise.all([load("bokeh.min.js"), load("statistics.js")]);
      const data = JSON.parse(part("data").textContent);
      part("stage").hidden = false;
      const ids = data.plot.roots.map(root => root.id), roots = {};
      ids.forEach(id => { roots[id] = part("plot"); });
      const item = { docid: "it", root_ids: ids, roots };
      const [views] = await Bokeh.embed.embed_items({ it: data.plot }, [item]);
      const [view] = views.roots, bokeh = view.model.document;
      const model = name => bokeh.get_model_by_name(name);
      kinds[root.dataset.kind]({ part, data, view, model, bokeh });
      /* A disabled button keeps the focus until the page is drawn again. */
      const hadFocus = [document.body, part("start")].includes(document.activeElement);
      part("start").hidden = true;
      if (hadFocus) part("stage").querySelector("select, input, button").focus();
      root.dataset.state = "ready";
    } catch (error) {
      root.dataset.state = "failed";
      part("stage").hidden = true;
      part("start").outerHTML = "<p>This figure could not be started. The others are as they were.</p>";
      throw error;
    }
  };

  const shown = (value, digits) => Number.isFinite(value) ? value.toFixed(digits) : "not estimable";

  /* A table of names, and values as they were and as they are. */
  const table = (place, head, rows) => {
    const cell = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
    const line = (tag, texts) => {
      const row = document.createElement("tr");
      row.append(...texts.map((text, i) => cell(text ? (i ? tag : "th") : "td", text)));
      return row;
    };
    const result = document.createElement("table");
    result.append(line("th", head), ...rows.map(row => line("td", row)));
    place.replaceChildren(result);
    /* What scrolls can be scrolled by keys too. */
    if (place.scrollWidth > place.clientWidth) place.tabIndex = 0;
    else place.removeAttribute("tabindex");
  };

  kinds.drag = ({ part, data, view, model }) => {
    const s = cpmStatistics, plot = view.model;
    const samples = model("samples"), box = part("plot"), chosen = part("sample");
    const NEAR = 24; // pixels
    let now, first;

    const compute = () => {
      const q = part("q").value / 100, { x, y, adc } = now;
      const rout = s.rout(x, y, q);
      const kept = values => values.filter((_, i) => !rout.outlier[i]);
      const used = (values, all) => all ? values : kept(values);
      const three = values => values.filter((_, i) => adc[i] !== null);
      return {
        rout,
        line: s.line(kept(x), kept(y)),
        rho: s.spearman(used(x, data.rhoKeepsOutliers), used(y, data.rhoKeepsOutliers)),
        rmse: s.rmse(used(x, data.rmseKeepsOutliers), used(y, data.rmseKeepsOutliers)),
        z: s.mengZ(three(y), three(x), three(adc), data.meng),
      };
    };

    const rows = found => {
      const { rout, line } = found, names = now.sample.filter((_, i) => rout.outlier[i]);
      return [
        ["Outliers", names.join(", ") || "none"],
        ["Robust slope", rout.settled ? shown(rout.slope, 2) : "does not settle"],
        ["Limit of ROUT (cells/mm²)", Number.isFinite(rout.limit) ? rout.limit.toFixed(0) : "none"],
        ["Slope b", shown(line[1], 2)],
        ["rho", shown(found.rho, 2)],
        ["RMSE (cells/mm²)", shown(found.rmse, 0)],
        ["Meng's z, CPM against ADC", shown(found.z, 2)],
      ];
    };

    const draw = () => {
      const found = compute(), { rout, line } = found;
      const [low, high] = now.ranges[0];
      const along = (a, b) => [a + b * low, a + b * high];
      const about = [rout.intercept - rout.limit, rout.intercept + rout.limit];
      const lines = (name, starts, slope) => {
        const real = starts.filter(Number.isFinite);
        model(name).data = { xs: real.map(() => [low, high]), ys: real.map(a => along(a, slope)) };
      };
      lines("robust", [rout.intercept], rout.slope);
      lines("limits", about, rout.slope);
      lines("line", [line[0]], line[1]);
      const at = chosen.selectedIndex;
      samples.data = {
        x: now.x, y: now.y, sample: now.sample, patient: now.patient,
        fill: rout.outlier.map(out => out ? "white" : now.colour),
        edge: rout.outlier.map((out, i) => out || i === at ? "black" : "white"),
        size: rout.outlier.map((_, i) => i === at ? 14 : 8),
        state: rout.outlier.map(out => out ? "outlier" : "kept"),
      };
      const were = first ??= rows(found);
      table(part("read"), ["", "At first", "Now"],
        rows(found).map(([name, text], i) => [name, were[i][1], text]));
      part("q-value").textContent = Number(part("q").value);
      return rout;
    };

    const say = rout => {
      const i = chosen.selectedIndex;
      part("said").textContent = `${now.sample[i]}: CPM ${now.x[i].toFixed(0)}, H&E `
        + `${now.y[i].toFixed(0)} cells/mm², ${rout.outlier[i] ? "an outlier" : "no outlier"}.`;
    };

    const move = (i, x, y) => {
      const inside = (value, [low, high]) => Math.min(Math.max(value, low), high);
      now.x[i] = inside(x, now.ranges[0]);
      now.y[i] = inside(y, now.ranges[1]);
      return draw();
    };

    const begin = () => {
      const key = part("subset").value, given = data.subsets[key], at = chosen.selectedIndex;
      const same = now && now.key === key;
      now = { ...given, key, x: [...given.x], y: [...given.y] };
      if (!same) {
        chosen.replaceChildren(...now.sample.map((name, i) =>
          new Option(`${name} (${now.patient[i]})`, i)));
        /* The one with the highest prediction first: it pulls the line most. */
        chosen.selectedIndex = now.x.indexOf(Math.max(...now.x));
      } else chosen.selectedIndex = at;
      [plot.x_range, plot.y_range].forEach((range, i) =>
        range.setv({ start: now.ranges[i][0], end: now.ranges[i][1] }));
      first = undefined;
      say(draw());
    };

    /* Where a pointer is, in the plot's own units. */
    const place = event => {
      const { left, top } = view.canvas_view.el.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    };
    const nearest = event => {
      const [sx, sy] = place(event), { x_scale, y_scale } = view.frame;
      const far = now.x.map((x, i) =>
        Math.hypot(x_scale.compute(x) - sx, y_scale.compute(now.y[i]) - sy));
      const i = far.indexOf(Math.min(...far));
      return far[i] <= NEAR ? i : -1;
    };
    let dragged = -1;
    box.addEventListener("pointerdown", event => {
      dragged = nearest(event);
      if (dragged < 0) return;
      chosen.selectedIndex = dragged;
      box.setPointerCapture(event.pointerId);
      say(draw());
    });
    /* A finger on a sample drags it, elsewhere it scrolls the page. */
    box.addEventListener("touchstart", event => {
      if (nearest(event.touches[0]) >= 0) event.preventDefault();
    }, { passive: false });
    box.addEventListener("pointermove", event => {
      if (dragged < 0) return;
      const [sx, sy] = place(event), { x_scale, y_scale } = view.frame;
      move(dragged, x_scale.invert(sx), y_scale.invert(sy));
    });
    for (const end of ["pointerup", "pointercancel"])
      box.addEventListener(end, () => {
        if (dragged >= 0) say(draw());
        dragged = -1;
      });
    box.addEventListener("keydown", event => {
      const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1],
        ArrowUp: [0, 1] }[event.key] ?? [0, 0];
      if (!dx && !dy) return;
      event.preventDefault();
      const i = chosen.selectedIndex, far = event.shiftKey ? 0.1 : 0.01;
      const [wide, high] = now.ranges.map(([from, to]) => far * (to - from));
      say(move(i, now.x[i] + dx * wide, now.y[i] + dy * high));
    });
    part("subset").oninput = begin;
    part("reset").onclick = begin;
    chosen.oninput = () => say(draw());
    part("q").oninput = () => say(draw());
    begin();
  };

  kinds.linked = ({ part, data, bokeh, model }) => {
    const samples = model("samples"), given = samples.data, MOST = 12;
    /* Where fingers scroll the page, a box is drawn only after its button has been pressed. */
    const mouse = !matchMedia("(pointer: coarse)").matches;
    for (const plot of bokeh.roots())
      for (const tool of plot.toolbar?.tools ?? [])
        if (tool.type === "BoxSelectTool") tool.active = mouse;

    const tell = () => {
      const marked = [...samples.selected.indices].sort((a, b) => a - b);
      const number = value => Number.isFinite(value) ? value.toFixed(0) : "n/a";
      part("read").hidden = !marked.length;
      table(part("read"), ["Sample", "Patient", "CPM", "ADC", "H&E", "Left out"],
        marked.slice(0, MOST).map(i => [given.sample[i], given.patient[i], number(given.cpm[i]),
          number(given.adc[i]), number(given.he_cellularity[i]), data.left_out[i]]));
      const people = new Set(marked.map(i => given.patient[i]));
      part("said").textContent = marked.length ? `Marked: ${marked.length} of `
        + `${given.sample.length} samples, of ${people.size} `
        + `${people.size === 1 ? "patient" : "patients"}. ` : "No sample is marked.";
      if (marked.length > MOST) part("said").append(`The table shows the first ${MOST}. `);
      for (const who of people) {
        if (!data.cases[who]) continue;
        const link = Object.assign(document.createElement("a"),
          { href: "07_cases.html", textContent: `${who}: ${data.cases[who]}` });
        part("said").append("Images of ", link, ". ");
      }
    };
    const mark = wanted => {
      samples.selected.indices = wanted ? given.sample.map((_, i) => i).filter(wanted) : [];
    };
    const choose = (mine, other, column) => {
      part(mine).oninput = () => {
        const name = part(mine).value;
        part(other).value = "";
        mark(name && (i => given[column][i] === name));
      };
    };
    choose("sample", "patient", "sample");
    choose("patient", "sample", "patient");
    part("clear").onclick = () => {
      part("sample").value = part("patient").value = "";
      mark();
    };
    samples.selected.properties.indices.change.connect(tell);
    tell();
  };

  kinds.draws = ({ part, data, model }) => {
    const bars = model("bars"), plot = model("plot");
    let now, drawn, timer;
    const stop = () => {
      clearInterval(timer);
      timer = undefined;
      part("play").textContent = "Go on drawing";
    };
    const show = () => {
      const { edges } = data, counts = edges.slice(1).map(() => 0);
      const rhos = now.draws.slice(0, drawn), last = counts.length - 1;
      const wide = edges[1] - edges[0];
      for (const rho of rhos) counts[Math.min(Math.floor((rho - edges[0]) / wide), last)]++;
      bars.data = { left: edges.slice(0, -1), right: edges.slice(1), top: counts };
      plot.y_range.end = Math.max(10, 1.1 * Math.max(...counts));
      const mean = rhos.reduce((sum, rho) => sum + rho, 0) / drawn;
      model("exact").location = now.exact;
      model("mean").location = drawn ? mean : null;
      table(part("read"), ["Draws", "Last rho", "Mean so far", now.exactly ? "Exact mean"
        : "Mean of all draws"], [[String(drawn), drawn ? shown(rhos[drawn - 1], 2) : "none",
        drawn ? shown(mean, 3) : "none", shown(now.exact, 3)]]);
    };
    const draw = count => {
      drawn = Math.min(drawn + count, now.draws.length);
      if (drawn === now.draws.length) stop();
      show();
    };
    const say = () => {
      part("said").textContent = `${drawn} of ${now.draws.length} draws are shown.`;
    };
    const begin = () => {
      now = data.sets[part("set").value];
      drawn = 0;
      stop();
      show();
      say();
    };
    part("one").onclick = () => { stop(); draw(1); say(); };
    part("play").onclick = () => {
      if (timer) { stop(); say(); return; }
      if (drawn === now.draws.length) drawn = 0;
      part("play").textContent = "Stop";
      /* Ten times a second; the slider says how many draws each time. */
      timer = setInterval(() => draw(Number(part("speed").value)), 100);
    };
    part("speed").oninput = () => { part("speed-value").textContent = part("speed").value; };
    part("reset").onclick = part("set").oninput = begin;
    begin();
  };

  kinds.patients = ({ part, data, model }) => {
    let number = 0;
    const show = () => {
      const icc = Number(part("icc").value);
      const at = data.iccs.findIndex(one => Math.abs(one - icc) < 1e-9);
      const [x, y] = [0, 1].map(column => data.shared[number][column].map((u, i) =>
        Math.sqrt(icc) * u + Math.sqrt(1 - icc) * data.own[number][column][i]));
      model("samples").data = { x, y, colour: data.colour, patient: data.patient };
      const [a, b] = cpmStatistics.line(x, y);
      model("line").data = { x: [-3.5, 3.5], y: [a - 3.5 * b, a + 3.5 * b] };
      model("here").location = icc;
      part("icc-value").textContent = icc.toFixed(1);
      const p = name => data.p[name][at][number];
      const read = value => value < 0.001 ? "< 0.001" : value.toFixed(3);
      const share = name => `${Math.round(data.sets * data.share[name][at])} of ${data.sets}`;
      table(part("read"), ["", "Naive", "Mixed model"], [
        ["p in this data set", read(p("naive")), read(p("with_patients"))],
        ["Data sets with p < 0.05", share("naive"), share("with_patients")],
      ]);
      part("said").textContent = `Data set ${number + 1} of ${data.own.length}, ICC `
        + `${icc.toFixed(1)}: p is ${read(p("naive"))} in the naive analysis, `
        + `${read(p("with_patients"))} in the mixed model.`;
    };
    part("icc").oninput = show;
    part("next").onclick = () => { number = (number + 1) % data.own.length; show(); };
    show();
  };

  kinds.sphere = ({ part, data, model }) => {
    const curves = model("curves"), chosen = name => part(name).value;
    let drawn;
    const show = () => {
      const map = data.maps[chosen("map")], size = Number(chosen("diameter"));
      const shift = Number(chosen("shift")), at = data.shifts.indexOf(shift);
      const along = chosen("direction"), diameter = data.diameters[size];
      const line = weighting => map.values[weighting][along][size];
      const value = line(chosen("weighting"))[at];
      const read = one => one === null ? "no value there" : `${one.toFixed(0)} ${map.unit}`;
      const [x, y] = along === "left" ? [shift, 0] : [0, shift];
      model("sphere").data = { x: [x], y: [y], radius: [diameter / 2] };
      const curve = [chosen("map"), along, size].join();
      if (curve !== drawn) // a shift leaves the curves as they are
        for (const name in map.values)
          model(name).data = { x: data.shifts, y: line(name).map(one => one ?? NaN) };
      drawn = curve;
      model("here").data = { x: [shift], y: [value ?? NaN] };
      const told = { diameter: `${diameter} mm`, shift: `${shift} mm` };
      for (const name in told) {
        part(`${name}-value`).textContent = told[name];
        part(name).setAttribute("aria-valuetext", told[name]);
      }
      const { start } = data, middle = data.shifts.indexOf(0);
      const usual = map.values[start.weighting][along][start.diameter][middle];
      const inside = map.parts[chosen("weighting")][along][size][at];
      table(part("read"), ["", data.sample], [
        ["Value of this sphere", read(value)],
        ["Value of the book's sphere", read(usual)],
        ["Part of this sphere with values", `${(100 * inside).toFixed(0)} %`],
      ]);
      const side = shift < 0 ? data.against[along] : along;
      part("said").textContent = `Diameter ${told.diameter}, shifted by ${Math.abs(shift)} mm to `
        + `the ${side}: ${read(value)}.`;
    };
    const change = () => {
      const key = chosen("map"), map = data.maps[key];
      for (const other in data.maps) model(`slice_${other}`).visible = other === key;
      /* All choices of a map share one scale, so that their curves compare. */
      const all = Object.values(map.values).flatMap(one => Object.values(one)).flat(2)
        .filter(one => one !== null);
      const low = Math.min(...all), high = Math.max(...all), room = 0.06 * (high - low) || 1;
      curves.y_range.setv({ start: low - room, end: high + room });
      curves.left[0].axis_label = map.axis;
      show();
    };
    const begin = () => {
      part("diameter").value = data.start.diameter;
      part("weighting").value = data.start.weighting;
      part("shift").value = 0;
      change();
    };
    part("map").oninput = change;
    for (const name of ["diameter", "direction", "shift", "weighting"])
      part(name).oninput = show;
    part("reset").onclick = begin;
    begin();
  };

  const ready = () => {
    for (const root of document.querySelectorAll(".cpm-widget[data-kind]")) {
      const part = name => root.querySelector(`[data-part="${name}"]`);
      part("start").hidden = false;
      part("start").onclick = () => start(root, part);
    }
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready);
  else ready();
})();
