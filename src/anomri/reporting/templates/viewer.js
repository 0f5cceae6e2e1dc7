"use strict";
// Opens one scan at a time in NiiVue. Nothing is unpacked before a reader asks for it, and the
// picture of the scan stays where the browser cannot show more.
(() => {
  const able = () => {
    const canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2")) && "DecompressionStream" in window;
  };

  const unpack = async (packed) => {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  };

  // The policy of the page names this script's hash: a browser runs this text or none.
  const loadNiivue = async () => {
    if (window.niivue) return;
    const packed = document.getElementById("niivue-build").textContent.trim();
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(await unpack(packed));
    document.head.append(script);
  };

  // Same colours as in the pictures; regions by BraTS number (3 and 4 are both "enhancing").
  const PALETTES = {
    mask: ["#ffa62b"],
    truth: ["#56b4e9"],
    regions: ["#d55e00", "#009e73", "#f0e442", "#f0e442"],
  };

  // A NIfTI file in memory: bytes, a scale for their values and the place of the voxels.
  const nifti = (preview, layer, voxels) => {
    const file = new ArrayBuffer(352 + voxels.byteLength);
    const view = new DataView(file);
    const float = (at, ...values) => values.forEach((value, i) => view.setFloat32(at + 4 * i, value, true));
    const short = (at, ...values) => values.forEach((value, i) => view.setInt16(at + 2 * i, value, true));
    view.setInt32(0, 348, true);
    short(40, 3, ...preview.shape, 1, 1, 1, 1);
    if (layer.kind in PALETTES) short(68, 1002); // labels: drawn with outlines
    short(70, 2, 8);
    float(76, 1, ...preview.spacing_mm);
    float(108, 352, (layer.high - layer.low) / 255, layer.low);
    view.setUint8(123, 2);
    short(254, 1);
    float(280, ...preview.affine.slice(0, 3).flat());
    new Uint8Array(file).set([0x6e, 0x2b, 0x31, 0], 344);
    new Uint8Array(file).set(voxels, 352);
    return file;
  };

  const byKind = (preview, ...kinds) => preview.layers.filter((layer) => kinds.includes(layer.kind));

  const FILL = 0.15; // tissue stays visible inside an outline

  const labelColours = (kind) => {
    const rgb = PALETTES[kind].map((colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
    const channel = (i) => [0, ...rgb.map((colour) => colour[i])];
    return { R: channel(0), G: channel(1), B: channel(2), A: [0, ...rgb.map(() => 255)], labels: ["", ...rgb.map(() => "")] };
  };

  // World mm to voxel: Cramer's rule on the affine's columns.
  const toVoxel = (affine, mm) => {
    const [a, b, c, origin] = [0, 1, 2, 3].map((column) => affine.slice(0, 3).map((row) => row[column]));
    const cross = (u, v) => [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    const dot = (u, v) => u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
    const away = origin.map((start, axis) => mm[axis] - start);
    const whole = dot(a, cross(b, c));
    return [dot(away, cross(b, c)), dot(a, cross(away, c)), dot(a, cross(b, away))].map((part) => Math.round(part / whole));
  };

  // Millilitres above each level, by counting voxels once.
  const volumeAbove = (voxels, voxelMl) => {
    const counts = new Float64Array(257);
    for (const level of voxels) counts[level] += 1;
    for (let level = 255; level >= 0; level -= 1) counts[level] += counts[level + 1];
    return (level) => counts[level + 1] * voxelMl;
  };

  const plain = (value, digits = 1) => value.toFixed(digits).replace("-", "\u2212");

  class Viewer {
    constructor(figure, preview) {
      this.figure = figure;
      this.preview = preview;
      this.panel = document.getElementById("viewer-panel").content.firstElementChild.cloneNode(true);
      this.canvas = this.part("canvas");
    }

    part(role) { return this.panel.querySelector(`[data-part="${role}"]`); }

    async open() {
      this.panel.setAttribute("aria-label", `Viewer of ${this.figure.dataset.subject}`);
      this.figure.prepend(this.panel);
      this.figure.classList.add("viewing");
      const layers = await Promise.all(this.preview.layers.map(async (layer) => (
        { ...layer, voxels: new Uint8Array(await unpack(layer.voxels)) })));
      this.preview = { ...this.preview, layers };
      await loadNiivue();
      await this.attach();
      await this.addLayers();
      this.connect();
      this.panel.dataset.ready = "";
    }

    async attach() {
      this.nv = new niivue.Niivue({
        backColor: [0, 0, 0, 1], crosshairColor: [0.49, 0.78, 0.87, 0.9], crosshairWidth: 1, crosshairWidthUnit: "mm",
        crosshairGap: 6, fontColor: [0.91, 0.92, 0.93, 1], isRadiologicalConvention: true, sagittalNoseLeft: true,
        multiplanarShowRender: niivue.SHOW_RENDER.NEVER, multiplanarPadPixels: 6, tileMargin: 10, dragAndDropEnabled: false,
        loadingText: "", viewModeHotKey: "", clipPlaneHotKey: "", logLevel: "error",
      });
      await this.nv.attachToCanvas(this.canvas);
      this.nv.onLocationChange = (place) => this.tell(place.mm);
    }

    async volume(layer, options) {
      const image = await niivue.NVImage.loadFromUrl({ url: nifti(this.preview, layer, layer.voxels), name: `${layer.kind}.nii`, ...options });
      this.nv.addVolume(image);
      return image;
    }

    async addLayers() {
      this.images = byKind(this.preview, "image", "reconstruction");
      this.maps = byKind(this.preview, "anomaly");
      this.shown = this.images[0];
      this.base = await this.volume(this.shown, { colormap: "gray", cal_min: this.shown.low, cal_max: this.shown.high });
      this.labels = [];
      if (this.maps.length) await this.addMap(this.maps[0]);
      for (const layer of byKind(this.preview, "regions", "mask", "truth")) await this.addLabels(layer);
    }

    async addMap(layer) {
      this.map = await this.volume(layer, { colormap: "magma", cal_min: 0, cal_max: layer.high, opacity: 0.6 });
      // Colours keep their meaning while the threshold moves: only what is below it vanishes.
      this.map.colormapType = 1;
      this.heat = layer;
      this.level = this.cut();
      this.above = volumeAbove(layer.voxels, this.preview.voxel_ml);
    }

    // The level of the run's threshold; copies of older runs hold one for all maps.
    cut() { return this.heat.cut || this.preview.cut; }

    async addLabels(layer) {
      const image = await this.volume({ ...layer, low: 0, high: 255 }, {});
      image.setColormapLabel(labelColours(layer.kind));
      this.labels.push({ layer, image, shown: true });
    }

    connect() {
      this.fillImages();
      this.fillLabels();
      this.part("views").addEventListener("change", (event) => this.setView(event.target.value));
      this.part("close").addEventListener("click", () => this.close());
      this.part("map-controls").hidden = !this.map;
      if (this.map) this.connectMap();
      this.canvas.addEventListener("keydown", (event) => this.steer(event));
      this.watch = new ResizeObserver(() => this.layOut());
      this.watch.observe(this.panel);
      this.setView("all");
      this.goTo(this.figure.dataset.start ? this.figure.dataset.start.split(" ").map(Number) : null);
    }

    fillImages() {
      const select = this.part("image");
      this.images.forEach((layer, number) => select.append(new Option(layer.name, number)));
      select.addEventListener("change", () => this.showImage(this.images[select.value]));
    }

    fillLabels() {
      const box = this.part("labels");
      for (const entry of this.labels) {
        const label = document.createElement("label");
        const input = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
        input.addEventListener("change", () => { entry.shown = input.checked; this.fade(); });
        label.className = `key ${entry.layer.kind}`;
        label.append(input, ` ${entry.layer.name}`);
        box.append(label);
      }
      this.part("label-controls").hidden = !this.labels.length;
      this.part("label-opacity").addEventListener("input", () => this.fade());
      this.fade();
    }

    fade() {
      const opacity = Number(this.part("label-opacity").value) / 100;
      for (const { layer, image, shown } of this.labels) {
        image.opacity = FILL * opacity;
        if (shown) image.img.set(layer.voxels);
        else image.img.fill(0); // an outline has an opacity of its own
      }
      this.nv.setAtlasOutline(opacity);
    }

    connectMap() {
      const [threshold, opacity] = [this.part("threshold"), this.part("map-opacity")];
      threshold.value = this.level;
      threshold.addEventListener("input", () => this.setLevel(Number(threshold.value)));
      opacity.addEventListener("input", () => { this.map.opacity = Number(opacity.value) / 100; this.nv.updateGLVolume(); });
      this.part("reset").addEventListener("click", () => { threshold.value = this.cut(); this.setLevel(this.cut()); });
      this.part("top").textContent = plain(this.heat.high, 2);
      this.part("unit").textContent = this.heat.unit;
      this.setLevel(this.level);
    }

    setLevel(level) {
      this.level = level;
      const value = (level / 255) * this.heat.high;
      this.map.cal_min = ((level + 0.5) / 255) * this.heat.high;
      this.nv.updateGLVolume();
      const text = `above ${plain(value, 2)}: ${plain(this.above(level), 2)} ml`;
      this.part("volume").textContent = text;
      this.part("threshold").setAttribute("aria-valuetext", text);
      const mask = this.heat === this.maps[0] && this.preview.mask_ml !== null
        ? `; its mask holds ${plain(this.preview.mask_ml, 2)} ml` : "";
      this.part("written").textContent = level === this.cut() ? `the run's threshold${mask}` : "";
    }

    swap(image, layer) {
      image.img.set(layer.voxels);
      image.hdr.scl_slope = (layer.high - layer.low) / 255;
      image.hdr.scl_inter = layer.low;
      image.cal_max = layer.high;
    }

    showImage(layer) {
      this.shown = layer;
      this.swap(this.base, layer);
      this.base.cal_min = layer.low;
      const heat = this.maps.find((map) => map.contrast === layer.contrast);
      if (heat && heat !== this.heat) {
        this.heat = heat;
        this.swap(this.map, heat);
        this.above = volumeAbove(heat.voxels, this.preview.voxel_ml);
        this.part("threshold").value = this.cut();
        this.part("top").textContent = plain(heat.high, 2);
        this.setLevel(this.cut());
      }
      this.nv.updateGLVolume();
      this.tell(this.place);
    }

    setView(name) {
      const views = { all: "MULTIPLANAR", axial: "AXIAL", coronal: "CORONAL", sagittal: "SAGITTAL" };
      this.view = name;
      this.nv.setSliceType(niivue.SLICE_TYPE[views[name]]);
      this.layOut();
    }

    // Three planes stand side by side where there is room, else on top of each other.
    layOut() {
      const wide = this.panel.clientWidth > 640;
      this.canvas.parentElement.className = `stage ${this.view} ${wide ? "wide" : "narrow"}`;
      this.nv.setMultiplanarLayout(wide ? niivue.MULTIPLANAR_TYPE.ROW : niivue.MULTIPLANAR_TYPE.GRID);
    }

    steer(event) {
      const steps = {
        ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0],
        PageUp: [0, 0, 1], PageDown: [0, 0, -1],
      };
      const step = steps[event.key];
      // NiiVue's own keys would change the view behind the controls' back.
      if (event.key !== "Tab") event.stopPropagation();
      if (!step) return;
      event.preventDefault();
      this.nv.moveCrosshairInVox(...step);
    }

    goTo(mm) {
      if (mm) this.nv.scene.crosshairPos = this.nv.mm2frac(mm);
      this.nv.drawScene();
      this.tell(mm ?? this.nv.frac2mm(this.nv.scene.crosshairPos));
    }

    // The voxel of a place, I fastest; -1 outside the copy.
    voxelAt(mm) {
      const index = toVoxel(this.preview.affine, mm);
      const [width, depth] = this.preview.shape;
      const inside = index.every((at, axis) => at >= 0 && at < this.preview.shape[axis]);
      return inside ? index[0] + width * (index[1] + depth * index[2]) : -1;
    }

    tell(mm) {
      this.place = mm;
      const at = this.voxelAt(mm);
      const [x, y, z] = [...mm].slice(0, 3).map((value) => plain(value));
      const value = ({ low, high, voxels }) => plain(low + ((high - low) * (voxels[at] ?? 0)) / 255, 2);
      const values = [this.shown, ...(this.heat ? [this.heat] : [])].map((layer) => `${layer.name} ${at < 0 ? "\u2013" : value(layer)}`);
      this.part("where").textContent = [`x ${x}  y ${y}  z ${z} mm`, ...values].join("  \u00b7  ");
    }

    close() {
      this.watch.disconnect();
      this.nv.cleanup();
      this.nv.gl.getExtension("WEBGL_lose_context")?.loseContext();
      this.panel.remove();
      this.figure.classList.remove("viewing");
      current = null;
      this.figure.querySelector(".open-viewer")?.focus();
    }
  }

  let current = null;

  const show = async (figure, mm) => {
    if (current?.figure !== figure) {
      current?.close();
      if (mm) figure.dataset.start = mm.join(" ");
      const data = document.querySelector(`script.preview[data-label="${CSS.escape(figure.dataset.label)}"]`);
      current = new Viewer(figure, JSON.parse(data.textContent));
      const opened = current;
      try {
        await current.open();
      } catch (error) {
        opened.panel.remove();
        figure.classList.remove("viewing");
        current = null;
        throw error;
      }
    } else if (mm) current.goTo(mm);
    current.canvas.focus({ preventScroll: true });
    if (mm) figure.scrollIntoView({ block: "start" });
  };

  const addOpener = (figure) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "open-viewer" });
    button.textContent = "Open the interactive viewer";
    button.addEventListener("click", () => show(figure));
    figure.prepend(button);
    for (const row of figure.closest(".scan").querySelectorAll("tr[data-centre]")) addJump(figure, row);
    if (figure.dataset.open !== undefined) show(figure);
  };

  const addJump = (figure, row) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "jump" });
    const number = row.cells[0];
    button.textContent = number.textContent.trim();
    button.setAttribute("aria-label", `Show lesion ${button.textContent} in the viewer`);
    button.addEventListener("click", () => show(figure, row.dataset.centre.split(" ").map(Number)));
    number.replaceChildren(button);
  };

  const figures = [...document.querySelectorAll("figure.mosaic[data-label]")]
    .filter((figure) => document.querySelector(`script.preview[data-label="${CSS.escape(figure.dataset.label)}"]`));
  if (able()) figures.forEach(addOpener);
  else document.querySelectorAll(".no-viewer").forEach((note) => { note.hidden = false; });
})();
