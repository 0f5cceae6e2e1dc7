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

  // A NIfTI file in memory, with the intent of labels and the scale of the values.
  const nifti = ({ shape, spacing_mm, affine }, layer) => {
    const file = niivue.NVImage.createNiftiArray(shape, spacing_mm, affine.flat(), 2, layer.voxels);
    const header = new DataView(file.buffer);
    if (layer.kind in PALETTES) header.setInt16(68, 1002, true); // labels: drawn with outlines
    header.setFloat32(112, (layer.high - layer.low) / 255, true);
    header.setFloat32(116, layer.low, true);
    return file;
  };

  const byKind = (preview, ...kinds) => preview.layers.filter((layer) => kinds.includes(layer.kind));

  const FILL = 0.15; // tissue stays visible inside an outline

  const labelColours = (kind) => {
    const colours = ["#000000", ...PALETTES[kind]]; // nothing, and each label
    const channel = (at) => colours.map((colour) => parseInt(colour.slice(at, at + 2), 16));
    const alpha = colours.map((_, label) => (label ? 255 : 0));
    return { R: channel(1), G: channel(3), B: channel(5), A: alpha, labels: colours.map(() => "") };
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
      this.nv.onLocationChange = (place) => this.showPosition(place.mm);
    }

    async volume(layer, options) {
      const image = await niivue.NVImage.loadFromUrl({ url: nifti(this.preview, layer), name: `${layer.kind}.nii`, ...options });
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
      this.part("threshold").addEventListener("input", (event) => this.setLevel(Number(event.target.value)));
      this.part("map-opacity").addEventListener("input", (event) => {
        this.map.opacity = Number(event.target.value) / 100;
        this.nv.updateGLVolume();
      });
      this.part("reset").addEventListener("click", () => this.setLevel(this.cut()));
      this.part("unit").textContent = this.heat.unit;
      this.showHeat();
    }

    showHeat() {
      this.above = volumeAbove(this.heat.voxels, this.preview.voxel_ml);
      this.part("top").textContent = plain(this.heat.high, 2);
      this.setLevel(this.cut());
    }

    setLevel(level) {
      this.part("threshold").value = level;
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
        this.showHeat();
      }
      this.nv.updateGLVolume();
      this.showPosition(this.place);
    }

    setView(name) {
      this.view = name;
      this.nv.setSliceType(niivue.SLICE_TYPE[name === "all" ? "MULTIPLANAR" : name.toUpperCase()]);
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
      // NiiVue's own keys would change the view without the controls.
      if (event.key !== "Tab") event.stopPropagation();
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.nv.moveCrosshairInVox(...steps[event.key]);
    }

    goTo(mm) {
      if (mm) this.nv.scene.crosshairPos = this.nv.mm2frac(mm);
      this.nv.drawScene();
      this.showPosition(mm ?? this.nv.frac2mm(this.nv.scene.crosshairPos));
    }

    // The crosshair's position and the values there; a dash outside the copy.
    showPosition(mm) {
      this.place = mm;
      const value = (image) => {
        const index = image.mm2vox(mm);
        const inside = [...index].every((at, axis) => at >= 0 && at < image.dimsRAS[axis + 1]);
        return inside ? plain(image.getValue(...index), 2) : "\u2013";
      };
      const values = [`${this.shown.name} ${value(this.base)}`];
      if (this.map) values.push(`${this.heat.name} ${value(this.map)}`);
      const [x, y, z] = [...mm].slice(0, 3).map((position) => plain(position));
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

  const copyOf = (figure) => document.querySelector(`script.preview[data-label="${CSS.escape(figure.dataset.label)}"]`);

  const show = async (figure, mm) => {
    if (current?.figure !== figure) {
      current?.close();
      if (mm) figure.dataset.start = mm.join(" ");
      const opened = new Viewer(figure, JSON.parse(copyOf(figure).textContent));
      current = opened;
      try {
        await opened.open();
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

  const button = (className, text, action) => {
    const made = Object.assign(document.createElement("button"), { type: "button", className, textContent: text });
    made.addEventListener("click", action);
    return made;
  };

  const addOpener = (figure) => {
    figure.prepend(button("open-viewer", "Open the interactive viewer", () => show(figure)));
    for (const row of figure.closest(".scan").querySelectorAll("tr[data-centre]")) addJump(figure, row);
    if (figure.dataset.open !== undefined) show(figure);
  };

  const addJump = (figure, row) => {
    const number = row.cells[0].textContent.trim();
    const jump = button("jump", number, () => show(figure, row.dataset.centre.split(" ").map(Number)));
    jump.setAttribute("aria-label", `Show lesion ${number} in the viewer`);
    row.cells[0].replaceChildren(jump);
  };

  const figures = [...document.querySelectorAll("figure.mosaic[data-label]")].filter(copyOf);
  if (able()) figures.forEach(addOpener);
  else document.querySelectorAll(".no-viewer").forEach((note) => { note.hidden = false; });
})();
