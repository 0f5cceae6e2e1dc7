"use strict";
// Two scans in one space with one crosshair. The picture below stays where WebGL 2 is missing.
(() => {
  const by = (id) => document.getElementById(id);
  const able = () => Boolean(document.createElement("canvas").getContext("webgl2")) && "DecompressionStream" in window;

  const unpack = async (packed) => {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  };

  // The policy of the page names this script's hash: a browser runs this text or none.
  const loadNiivue = async () => {
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(await unpack(by("niivue-build").textContent.trim()));
    document.head.append(script);
  };

  const palette = (colours) => {
    const all = ["#000000", ...colours];
    const channel = (at) => all.map((colour) => parseInt(colour.slice(at, at + 2), 16));
    return { R: channel(1), G: channel(3), B: channel(5), A: all.map((_, n) => (n ? 255 : 0)), labels: all.map(() => "") };
  };

  class Pair {
    constructor(data) { this.data = data; this.sides = []; this.interval = -1; }

    async open() {
      for (const id of ["left", "right"]) {
        const nv = new niivue.Niivue({
          backColor: [0, 0, 0, 1], crosshairColor: [0.49, 0.78, 0.87, 0.9], isRadiologicalConvention: true,
          sagittalNoseLeft: true, multiplanarShowRender: niivue.SHOW_RENDER.NEVER, dragAndDropEnabled: false,
          loadingText: "", viewModeHotKey: "", clipPlaneHotKey: "", logLevel: "error",
        });
        await nv.attachToCanvas(by(id));
        this.sides.push(nv);
      }
      const [left, right] = this.sides;
      left.broadcastTo([right], { "2d": true, "3d": false });
      right.broadcastTo([left], { "2d": true, "3d": false });
      for (const nv of this.sides) nv.onLocationChange = (place) => this.show(place.mm);
      await this.setInterval(this.data.overlays.length - 1);
      this.setView("axial");
    }

    async image(packed, label, options) {
      const { shape, spacing, affine } = this.data;
      const voxels = new Uint8Array(await unpack(packed));
      const file = niivue.NVImage.createNiftiArray(shape, spacing, affine, 2, voxels);
      if (label) new DataView(file.buffer).setInt16(68, 1002, true);
      return niivue.NVImage.loadFromUrl({ url: file, name: label ? "lesions.nii" : "scan.nii", ...options });
    }

    async setInterval(number) {
      if (number === this.interval) return;
      this.interval = number;
      by("interval").value = number;
      this.lesions = [];
      for (const [side, nv] of this.sides.entries()) {
        for (const volume of [...nv.volumes]) nv.removeVolume(volume);
        nv.addVolume(await this.image(this.data.images[number + side], false, { colormap: "gray", cal_min: 0, cal_max: 255 }));
        const overlay = await this.image(this.data.overlays[number][side], true, {});
        overlay.setColormapLabel(palette(this.data.colours));
        overlay.opacity = 0.25;
        nv.addVolume(overlay);
        this.lesions.push({ overlay, voxels: overlay.img.slice() });
        nv.setAtlasOutline(1);
        by(side ? "right-name" : "left-name").textContent = `Time point ${number + side + 1}`;
      }
      this.showLesions();
    }

    showLesions() {
      const shown = by("overlay").checked;
      for (const { overlay, voxels } of this.lesions) {
        if (shown) overlay.img.set(voxels);
        else overlay.img.fill(0);
      }
      for (const nv of this.sides) nv.updateGLVolume();
    }

    setView(name) {
      for (const nv of this.sides) {
        nv.setSliceType(niivue.SLICE_TYPE[name === "all" ? "MULTIPLANAR" : name.toUpperCase()]);
        nv.drawScene();
      }
    }

    goTo(mm) {
      for (const nv of this.sides) {
        nv.scene.crosshairPos = nv.mm2frac(mm);
        nv.drawScene();
      }
      this.show(mm);
    }

    show(mm) {
      const text = [...mm].slice(0, 3).map((value) => value.toFixed(1).replace("-", "\u2212"));
      by("where").textContent = `x ${text[0]}  y ${text[1]}  z ${text[2]} mm in the halfway space`;
    }
  }

  const start = async () => {
    by("viewer").hidden = false;
    await loadNiivue();
    const pair = new Pair(JSON.parse(by("volumes-data").textContent));
    await pair.open();
    by("interval").addEventListener("change", (event) => pair.setInterval(Number(event.target.value)));
    by("view").addEventListener("change", (event) => pair.setView(event.target.value));
    by("overlay").addEventListener("change", () => pair.showLesions());
    const jumps = [...document.querySelectorAll("button.jump")];
    const jump = async (button) => {
      await pair.setInterval(Number(button.dataset.interval));
      pair.goTo(button.dataset.mm.split(" ").map(Number));
    };
    for (const button of jumps) {
      button.addEventListener("click", async () => { await jump(button); by("scans").scrollIntoView(); });
    }
    if (jumps.length) await jump(jumps.filter((one) => Number(one.dataset.interval) === pair.interval)[0] ?? jumps[0]);
    by("viewer").dataset.ready = "";
  };

  if (able()) start();
  else by("no-viewer").hidden = false;
})();
