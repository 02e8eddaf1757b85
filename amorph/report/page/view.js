/* The 3-D view: draws the scenes of the page with 3Dmol.js. Lengths in Å. */
(function () {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const scenes = JSON.parse($("scenes").textContent);
  const stage = document.querySelector("#viewer .canvas");
  const decoded = new Map();
  const EYE = { azimuth: 24, elevation: 14 };
  const SHADES = 12;
  const CAMERA = { z: 150, angle: Math.PI / 9 }; // of 3Dmol's own camera

  let viewer;
  try {
    viewer = $3Dmol.createViewer(stage, { backgroundColor: color("--paper"), orthographic: true, antialias: true });
  } catch (error) {
    viewer = null;
  }
  if (!viewer) {
    stage.textContent = "This browser gives no WebGL, which the 3-D view needs.";
    return;
  }

  const state = { scene: 0, field: 0, level: 0, frame: -1, hidden: new Set(["symbols"]) };
  const drawn = { cell: [], polyhedra: [], surface: [], path: [], labels: [], symbols: [] };
  let model = null;
  let timer = null;
  let looked = null;

  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function numbers(text, Kind) {
    if (!decoded.has(text)) {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      decoded.set(text, new Kind(bytes.buffer));
    }
    return decoded.get(text);
  }

  function points(packed) {
    const raw = numbers(packed.points, Uint16Array);
    const found = new Array(raw.length / 3);
    for (let i = 0; i < found.length; i++) {
      found[i] = {
        x: packed.low[0] + (raw[3 * i] / 65535) * packed.size[0],
        y: packed.low[1] + (raw[3 * i + 1] / 65535) * packed.size[1],
        z: packed.low[2] + (raw[3 * i + 2] / 65535) * packed.size[2],
      };
    }
    return found;
  }

  function triples(text) {
    const raw = numbers(text, Float32Array);
    const found = new Array(raw.length / 3);
    for (let i = 0; i < found.length; i++) found[i] = { x: raw[3 * i], y: raw[3 * i + 1], z: raw[3 * i + 2] };
    return found;
  }

  const sum = (a, b, s) => ({ x: a.x + s * b.x, y: a.y + s * b.y, z: a.z + s * b.z });
  const dot = (a, b) => a.x * b.x + a.y * b.y + a.z * b.z;
  const cross = (a, b) => ({ x: a.y * b.z - a.z * b.y, y: a.z * b.x - a.x * b.z, z: a.x * b.y - a.y * b.x });
  const unit = (a) => sum({ x: 0, y: 0, z: 0 }, a, 1 / (Math.sqrt(dot(a, a)) || 1));
  const vector = (row) => ({ x: row[0], y: row[1], z: row[2] });

  /* One mesh of round rods. */
  function rods(segments, radius, sides) {
    const mesh = { vertexArr: [], normalArr: [], faceArr: [] };
    segments.forEach(([start, end]) => {
      const along = unit(sum(end, start, -1));
      const least = Math.abs(along.x) < 0.6 ? { x: 1, y: 0, z: 0 } : { x: 0, y: 1, z: 0 };
      const across = unit(cross(least, along));
      const third = cross(along, across);
      const first = mesh.vertexArr.length;
      for (let side = 0; side < sides; side++) {
        const turn = (2 * Math.PI * side) / sides;
        const normal = sum(sum({ x: 0, y: 0, z: 0 }, across, Math.cos(turn)), third, Math.sin(turn));
        for (const place of [start, end]) {
          mesh.vertexArr.push(sum(place, normal, radius));
          mesh.normalArr.push(normal);
        }
        const a = first + 2 * side;
        const b = first + 2 * ((side + 1) % sides);
        mesh.faceArr.push(a, b, a + 1, b, b + 1, a + 1);
      }
    });
    return mesh;
  }

  function shape(part, mesh, look) {
    if (mesh.faceArr.length) drawn[part].push(viewer.addCustom({ ...mesh, ...look }));
  }

  function clear(part) {
    for (const each of drawn[part]) {
      if (part === "labels" || part === "symbols") viewer.removeLabel(each);
      else viewer.removeShape(each);
    }
    drawn[part] = [];
  }

  const scene = () => scenes[state.scene];
  const shown = (part) => !state.hidden.has(part);
  const moving = () => state.frame >= 0 && scene().movie !== null;

  function cellNow() {
    if (!moving()) return scene().cell;
    const raw = numbers(scene().movie.cells, Float32Array).subarray(9 * state.frame, 9 * state.frame + 9);
    return [0, 3, 6].map((row) => Array.from(raw.subarray(row, row + 3)));
  }

  function drawCell() {
    clear("cell");
    clear("labels");
    const cell = cellNow();
    if (!cell || !shown("cell")) return;
    const axes = cell.map(vector);
    const segments = [];
    axes.forEach((axis, k) => {
      const [p, q] = axes.filter((_, other) => other !== k);
      for (const i of [0, 1]) {
        for (const j of [0, 1]) {
          const start = sum(sum({ x: 0, y: 0, z: 0 }, p, i), q, j);
          segments.push([start, sum(start, axis, 1)]);
        }
      }
      const size = Math.sqrt(dot(axis, axis));
      const label = { position: sum(axis, axis, 0.7 / size), fontColor: color("--ink"), backgroundOpacity: 0, fontSize: 18, inFront: true, alignment: "center" };
      drawn.labels.push(viewer.addLabel("abc"[k], label));
    });
    shape("cell", rods(segments, 0.05, 8), { color: color("--quiet") });
  }

  function drawAtoms() {
    if (model) viewer.removeModel(model);
    clear("symbols");
    model = viewer.addModel();
    const source = moving() ? scene().movie : scene();
    const kinds = numbers(moving() ? source.kinds : source.atoms.kinds, Uint8Array);
    const places = moving() ? moviePlaces() : points(source.atoms);
    const names = moving() ? null : numbers(source.atoms.numbers, Uint32Array);
    const atoms = places.map((place, i) => ({
      ...place,
      elem: source.elements[kinds[i]].symbol,
      serial: names ? names[i] : i,
      bonds: [],
      bondOrder: [],
    }));
    if (atoms.length) model.addAtoms(atoms);
    for (const element of source.elements) {
      const visible = shown("atoms " + element.symbol);
      model.setStyle({ elem: element.symbol }, visible ? { sphere: { radius: element.radius, color: element.color } } : {});
      if (!visible || !shown("symbols") || moving() || element.count > 400) continue;
      for (const atom of atoms.filter((each) => each.elem === element.symbol)) {
        const label = { position: atom, fontColor: color("--ink"), backgroundColor: color("--paper"), backgroundOpacity: 0.6, fontSize: 11, alignment: "center", inFront: true };
        drawn.symbols.push(viewer.addLabel(element.symbol, label));
      }
    }
    viewer.setClickable({}, true, (atom) => {
      const place = [atom.x, atom.y, atom.z].map((value) => value.toFixed(2)).join(", ");
      $("picked").textContent = `${atom.elem}, atom ${atom.serial}, at ${place} Å`;
    });
  }

  function moviePlaces() {
    const movie = scene().movie;
    const all = numbers(movie.fractions, Uint16Array);
    const count = all.length / movie.frames;
    const raw = all.subarray(state.frame * count, (state.frame + 1) * count);
    const axes = cellNow().map(vector);
    const places = new Array(count / 3);
    for (let i = 0; i < places.length; i++) {
      let place = { x: 0, y: 0, z: 0 };
      for (let axis = 0; axis < 3; axis++) place = sum(place, axes[axis], raw[3 * i + axis] / 65535);
      places[i] = place;
    }
    return places;
  }

  function drawPolyhedra() {
    clear("polyhedra");
    if (moving() || !shown("polyhedra")) return;
    for (const group of scene().polyhedra) {
      const vertexArr = triples(group.panes);
      shape("polyhedra", { vertexArr, normalArr: [], faceArr: vertexArr.map((_, i) => i) }, { color: group.color, opacity: 0.55 });
      const ends = triples(group.edges);
      const segments = [];
      for (let i = 0; i < ends.length; i += 2) segments.push([ends[i], ends[i + 1]]);
      shape("polyhedra", rods(segments, 0.025, 5), { color: group.color });
    }
  }

  function drawSurface() {
    clear("surface");
    const field = scene().surfaces[state.field];
    $("surface").hidden = !field;
    if (!field) return;
    const level = field.levels[state.level];
    const thinned = level.thinned_A === null ? "" : `, thinned from ${level.of.toLocaleString("en")} with cubes of ${level.thinned_A} Å`;
    $("level-text").textContent = `${level.label}: ${level.triangles.toLocaleString("en")} triangles${thinned}`;
    if (moving() || !shown("surface") || !level.triangles) return;
    const faceArr = Array.from(numbers(level.faces, level.wide ? Uint32Array : Uint16Array));
    shape("surface", { vertexArr: points(level), normalArr: [], faceArr }, { color: field.color, opacity: 0.8 });
  }

  function drawPath() {
    clear("path");
    const path = scene().path;
    if (moving() || !path || !shown("path")) return;
    const places = triples(path.points);
    const heights = numbers(path.heights, Float32Array);
    const ends = [path.low, path.high].map((text) => [1, 3, 5].map((k) => parseInt(text.slice(k, k + 2), 16)));
    const tint = (height) => {
      const parts = [0, 1, 2].map((k) => Math.round(ends[0][k] + height * (ends[1][k] - ends[0][k])));
      return `rgb(${parts.join(",")})`;
    };
    const groups = new Map();
    for (let i = 1; i < places.length; i++) {
      const css = tint(Math.round((SHADES * (heights[i - 1] + heights[i])) / 2) / SHADES);
      if (!groups.has(css)) groups.set(css, []);
      groups.get(css).push([places[i - 1], places[i]]);
    }
    for (const [css, segments] of groups) shape("path", rods(segments, 0.2, 10), { color: css });
    for (const site of path.sites) {
      drawn.path.push(viewer.addSphere({ center: places[site], radius: 0.42, color: tint(heights[site]) }));
    }
  }

  function describe() {
    const now = scene();
    const parts = now.elements.map((each) => `${each.count} ${each.symbol}${each.polyhedra ? " in polyhedra" : " as spheres"}`);
    const lengths = now.cell ? now.cell.map((row) => Math.hypot(...row).toFixed(2)).join(" × ") : "";
    const text = [now.formula ? `${now.formula}: ${parts.join(", ")}` : now.name];
    if (lengths) text.push(`cell ${lengths} Å`);
    if (now.path) text.push(now.path.label);
    if (now.movie && now.movie.of > now.movie.frames) text.push(`the movie shows ${now.movie.frames} of ${now.movie.of} frames`);
    text.push("Drag to turn, wheel to zoom, arrow keys and + − do the same");
    $("viewer-text").textContent = text.join("; ") + ".";
  }

  function drawAll() {
    drawCell();
    drawAtoms();
    drawPolyhedra();
    drawSurface();
    drawPath();
    viewer.render();
  }

  /* What must be in sight: the corners of the cell and the atoms, or a surface alone. */
  function content() {
    const now = scene();
    const places = points(now.atoms);
    if (!places.length && now.surfaces.length) places.push(...points(now.surfaces[0].levels[0]));
    for (const i of [0, 1]) for (const j of [0, 1]) for (const k of [0, 1]) {
      if (now.cell) places.push([i, j, k].reduce((at, n, axis) => sum(at, vector(now.cell[axis]), n), { x: 0, y: 0, z: 0 }));
    }
    return places;
  }

  /* Turn the scene so that `towards` points at the viewer and `up` upwards, and fill the window with it. */
  function look(towards, up) {
    const z = unit(towards);
    const x = unit(cross(up, z));
    const y = cross(z, x);
    const places = content();
    const middle = { x: 0, y: 0, z: 0 };
    const ratio = Math.max(stage.clientWidth, 1) / Math.max(stage.clientHeight, 1);
    const spans = [x, y, z].map((axis) => {
      const along = places.map((place) => dot(place, axis));
      const [low, high] = [Math.min(...along), Math.max(...along)];
      Object.assign(middle, sum(middle, axis, (low + high) / 2));
      return (high - low) / 2;
    });
    const reach = Math.max(spans[0] / ratio, spans[1], 1) * 1.04 + 1;
    const m = [x.x, x.y, x.z, y.x, y.y, y.z, z.x, z.y, z.z];
    // 3Dmol's angle of view is that of the height in perspective, and half that of the width without
    const far = $("flat").checked ? (reach * ratio) / Math.tan(CAMERA.angle) : (reach + spans[2] * Math.tan(CAMERA.angle / 2)) / Math.tan(CAMERA.angle / 2);
    const depth = CAMERA.z - far;
    looked = [towards, up];
    viewer.setView([-middle.x, -middle.y, -middle.z, depth, ...quaternion(m)]);
    viewer.render();
  }

  function quaternion(m) {
    const trace = m[0] + m[4] + m[8];
    if (trace > 0) {
      const s = 2 * Math.sqrt(trace + 1);
      return [(m[7] - m[5]) / s, (m[2] - m[6]) / s, (m[3] - m[1]) / s, s / 4];
    }
    const i = m[0] > m[4] && m[0] > m[8] ? 0 : m[4] > m[8] ? 1 : 2;
    const j = (i + 1) % 3;
    const k = (i + 2) % 3;
    const s = 2 * Math.sqrt(1 + m[4 * i] - m[4 * j] - m[4 * k]);
    const q = [0, 0, 0, (m[3 * k + j] - m[3 * j + k]) / s];
    q[i] = s / 4;
    q[j] = (m[3 * j + i] + m[3 * i + j]) / s;
    q[k] = (m[3 * k + i] + m[3 * i + k]) / s;
    return q;
  }

  function oblique() {
    const a = (EYE.azimuth * Math.PI) / 180;
    const e = (EYE.elevation * Math.PI) / 180;
    look({ x: Math.sin(a) * Math.cos(e), y: -Math.cos(a) * Math.cos(e), z: Math.sin(e) }, { x: 0, y: 0, z: 1 });
  }

  function frameAll() {
    viewer.zoomTo(); // sets how deep 3Dmol looks into the scene
    oblique();
  }

  function option(select, text, value) {
    const made = document.createElement("option");
    made.textContent = text;
    made.value = value;
    select.append(made);
  }

  function layer(name, text, mark, tint) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.dataset.layer = name;
    box.checked = shown(name);
    box.addEventListener("change", () => {
      if (box.checked) state.hidden.delete(name);
      else state.hidden.add(name);
      drawAll();
    });
    label.append(box);
    if (mark) {
      const swatch = document.createElement("span");
      swatch.className = `swatch ${mark}`;
      swatch.style.background = tint;
      label.append(swatch);
    }
    label.append(text);
    $("layers").append(label);
  }

  function chooseScene(number) {
    stop();
    state.scene = number;
    state.frame = -1;
    state.field = 0;
    const now = scene();
    $("layers").querySelectorAll("label").forEach((each) => each.remove());
    for (const element of now.elements) layer("atoms " + element.symbol, `${element.symbol}${element.mobile ? ", mobile" : ""}`, "atom", element.color);
    for (const group of now.polyhedra.slice(0, 1)) layer("polyhedra", "polyhedra", "polyhedra", group.color);
    if (now.surfaces.length) layer("surface", "surface", "surface", now.surfaces[0].color);
    if (now.path) layer("path", "migration path", "surface", now.path.high);
    if (now.cell) layer("cell", "cell", "", "");
    if (now.elements.length) layer("symbols", "symbols", "", "");
    $("field").replaceChildren();
    now.surfaces.forEach((field, k) => option($("field"), field.name, k));
    $("field").hidden = now.surfaces.length < 2 && !(now.surfaces[0] && now.surfaces[0].name);
    $("movie").hidden = !now.movie;
    if (now.movie) $("frame").max = now.movie.frames - 1;
    $("frame").value = -1;
    $("frame-text").textContent = "";
    chooseField(0);
    describe();
    drawAll();
    frameAll();
  }

  function chooseField(number) {
    const field = scene().surfaces[number];
    if (!field) return;
    state.field = number;
    state.level = field.start;
    $("level").max = field.levels.length - 1;
    $("level").value = field.start;
    $("level").hidden = field.levels.length < 2;
  }

  function chooseFrame(number) {
    const changed = number < 0 || state.frame < 0;
    state.frame = number;
    $("frame").value = number;
    $("frame-text").textContent = number < 0 ? "" : scene().movie.captions[number];
    if (changed) return drawAll();
    drawCell();
    drawAtoms();
    viewer.render();
  }

  function stop() {
    if (timer) clearInterval(timer);
    timer = null;
    $("play").textContent = "Play";
    $("play").setAttribute("aria-pressed", "false");
  }

  scenes.forEach((each, k) => option($("scene"), each.name, k));
  $("which").hidden = scenes.length < 2;
  $("scene").addEventListener("change", (event) => chooseScene(Number(event.target.value)));
  $("field").addEventListener("change", (event) => {
    chooseField(Number(event.target.value));
    drawSurface();
    viewer.render();
  });
  $("level").addEventListener("input", (event) => {
    state.level = Number(event.target.value);
    drawSurface();
    viewer.render();
  });
  $("frame").addEventListener("input", (event) => {
    stop();
    chooseFrame(Number(event.target.value));
  });
  $("back").addEventListener("click", () => {
    stop();
    chooseFrame(-1);
  });
  $("play").addEventListener("click", () => {
    if (timer) return stop();
    $("play").textContent = "Pause";
    $("play").setAttribute("aria-pressed", "true");
    timer = setInterval(() => chooseFrame((state.frame + 1) % scene().movie.frames), 100);
  });
  document.querySelectorAll("[data-along]").forEach((button) => {
    button.addEventListener("click", () => {
      const axes = (cellNow() || [[1, 0, 0], [0, 1, 0], [0, 0, 1]]).map(vector);
      const along = Number(button.dataset.along);
      look(axes[along], along === 2 ? axes[1] : axes[2]);
    });
  });
  $("oblique").addEventListener("click", oblique);
  $("flat").addEventListener("change", (event) => {
    viewer.setProjection(event.target.checked ? "orthographic" : "perspective");
    look(...looked);
  });
  $("png").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = viewer.pngURI();
    link.download = "view.png";
    link.click();
  });
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  stage.addEventListener("keydown", (event) => {
    const turns = { ArrowLeft: [-10, "vy"], ArrowRight: [10, "vy"], ArrowUp: [-10, "vx"], ArrowDown: [10, "vx"] };
    if (turns[event.key]) viewer.rotate(...turns[event.key]);
    else if (event.key === "+" || event.key === "-") viewer.zoom(event.key === "+" ? 1.1 : 1 / 1.1);
    else return;
    event.preventDefault();
    viewer.render();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    viewer.setBackgroundColor(color("--paper"), 1);
    drawAll();
  });
  addEventListener("beforeprint", () => {
    $("viewer-print").src = viewer.pngURI();
    $("viewer-print").alt = $("viewer-text").textContent;
  });

  chooseScene(0);
  $("viewer").dataset.ready = "yes";
})();
