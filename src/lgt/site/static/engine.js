// The model on ONNX Runtime: pictures in planes to latents and back, tile by tile where they are large.
const CHANNELS = 4, DOWNSCALE = 8;
const WHOLE = 2 ** 20; // most pixels in one piece: a browser gives less memory than lgt.runtime takes
const TILE = 64, HALO = 20; // in latents; a tile sees as far around itself as the codec does
const MOST_THREADS = 8;

// Fetch a file and tell how many bytes came; unpack it, unless the host said what it is and the
// browser did so.
async function fetched(path, tell) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path} could not be loaded (${answer.status}). Is the folder whole?`);
  const counted = answer.body.pipeThrough(new TransformStream({
    transform(chunk, to) { tell(chunk.byteLength); to.enqueue(chunk); },
  }));
  const data = await new Response(counted).arrayBuffer();
  const [first, second] = new Uint8Array(data, 0, 2);
  if (first !== 0x1f || second !== 0x8b) return data;
  return new Response(new Blob([data]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

// Whether there is WebGPU, on a card rather than on the processor unless that is asked for.
async function hasGraphics(isAsked) {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return !!adapter && (isAsked || !(adapter.isFallbackAdapter || adapter.info?.isFallbackAdapter));
}

export class Engine {
  // Load the runtime and the model; `tell` gets the share of the bytes that are there.
  static async load(where, tell) {
    const engine = new Engine();
    const site = await (await fetch("../model.json")).json();
    let come = 0;
    const count = (bytes) => { come += bytes; tell(Math.min(1, come / site.bytes)); };
    const paths = ["encoder", "network", "decoder"].map((name) => `../model/${name}.onnx`);
    const [binary, codes, ...graphs] = await Promise.all(
      ["../runtime/ort.wasm.gz", "../model/codes.bin", ...paths].map((path) => fetched(path, count)),
    );
    const ort = await import("../runtime/ort.mjs");
    ort.env.logLevel = "error";
    ort.env.wasm.wasmBinary = binary;
    ort.env.wasm.wasmPaths = { mjs: new URL("../runtime/ort-threads.mjs", import.meta.url).href };
    engine.threads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;
    ort.env.wasm.numThreads = engine.threads;
    Object.assign(engine, { ort, site, graphs, codes: new Float32Array(codes), where: "wasm" });
    if (where !== "wasm" && (await hasGraphics(where === "webgpu"))) {
      try {
        await engine.open("webgpu");
        return engine;
      } catch (error) {
        console.warn(`WebGPU is there, but: ${error.message}`);
      }
    }
    await engine.open("wasm");
    return engine;
  }
  async open(where) {
    const [encoder, network, decoder] = this.graphs;
    // Threads that wait do not keep a core busy: others want it, and a phone's battery does.
    const options = { executionProviders: [where], logSeverityLevel: 3, extra: { session: { intra_op: { allow_spinning: "0" } } } };
    const create = (graph) => this.ort.InferenceSession.create(new Uint8Array(graph), options);
    this.encoder = await create(encoder);
    this.network = await create(network);
    this.decoder = await create(decoder);
    this.where = where;
  }

  // The code of a blend { name: weight }.
  code(blend) {
    const result = new Float32Array(this.site.code_length);
    const total = Object.values(blend).reduce((sum, weight) => sum + weight, 0);
    for (const [name, weight] of Object.entries(blend)) {
      const { start, length } = this.site.codes[name];
      for (let i = 0; i < length; i += 1) result[i] += (weight / total) * this.codes[start + i];
    }
    return result;
  }
  async run(session, inputs) {
    const feeds = {};
    for (const [name, { values, dims }] of Object.entries(inputs)) feeds[name] = new this.ort.Tensor("float32", values, dims);
    const output = (await session.run(feeds))[session.outputNames[0]];
    const [, , height, width] = output.dims;
    return { width, height, values: output.data };
  }

  // With a margin of mirror image, and more of it until the codec divides the sides; without a
  // margin the last row and column are repeated.
  padded(picture, margin) {
    const up = (side) => Math.ceil((side + 2 * margin) / DOWNSCALE) * DOWNSCALE;
    const [width, height] = [up(picture.width), up(picture.height)];
    if (width === picture.width && height === picture.height) return picture;
    const from = (index, side) => (margin ? mirrored(index - margin, side) : Math.min(index, side - 1));
    const columns = Array.from({ length: width }, (_, x) => from(x, picture.width));
    const values = new Float32Array(3 * width * height);
    for (let row = 0, to = 0; row < 3 * height; row += 1) {
      const y = Math.floor(row / height) * picture.height + from(row % height, picture.height);
      for (let x = 0; x < width; x += 1, to += 1) values[to] = picture.values[y * picture.width + columns[x]];
    }
    return { width, height, values };
  }
  encode(picture, report) {
    return this.tiled(picture, report, {
      channels: CHANNELS, from: DOWNSCALE, to: 1,
      run: ({ width, height, values }) => this.run(this.encoder, { image: { values, dims: [1, 3, height, width] } }),
    });
  }
  decode(latent, report) {
    return this.tiled(latent, report, {
      channels: 3, from: 1, to: DOWNSCALE,
      run: ({ width, height, values }) => this.run(this.decoder, { latent: { values, dims: [1, CHANNELS, height, width] } }),
    });
  }
  // The latents at the end of the path; with repulsion, away from the latents of `own`.
  async move(latent, code, repulsion, own) {
    const { width, height, values } = latent;
    const moved = (style) => this.run(this.network, {
      latent: { values, dims: [1, CHANNELS, height, width] }, code: { values: style, dims: [1, style.length] },
    });
    const result = await moved(code);
    if (!repulsion) return result;
    const back = (await moved(own)).values;
    return { width, height, values: result.values.map((value, i) => value + repulsion * (value - back[i])) };
  }

  async tiled(picture, report, { channels, from, to, run }) {
    const [width, height] = [picture.width / from, picture.height / from];
    if (width * height * DOWNSCALE ** 2 <= WHOLE) {
      const whole = await run(picture);
      report(1);
      return whole;
    }
    const result = { width: width * to, height: height * to, values: new Float32Array(channels * width * to * height * to) };
    const areas = [...areasOf(width, height)];
    for (const [index, { own, seen }] of areas.entries()) {
      const part = await run(cut(picture, scale(seen, from)));
      const inner = scale({ left: own.left - seen.left, top: own.top - seen.top, width: own.width, height: own.height }, to);
      put(result, scale(own, to), part, inner, channels);
      report((index + 1) / areas.length);
    }
    return result;
  }
}

// A place before or behind a side, reflected into it.
function mirrored(index, side) {
  const period = 2 * (side - 1) || 1, place = ((index % period) + period) % period;
  return Math.min(place, period - place, side - 1);
}

// Each tile's own rectangle and the one it sees, in latents.
function* areasOf(width, height) {
  const even = (side) => Math.ceil(side / Math.ceil(side / TILE));
  const [columns, rows] = [even(width), even(height)];
  for (let top = 0; top < height; top += rows) {
    for (let left = 0; left < width; left += columns) {
      const own = { left, top, width: Math.min(columns, width - left), height: Math.min(rows, height - top) };
      const [x, y] = [Math.max(0, left - HALO), Math.max(0, top - HALO)];
      const right = Math.min(width, left + own.width + HALO), bottom = Math.min(height, top + own.height + HALO);
      yield { own, seen: { left: x, top: y, width: right - x, height: bottom - y } };
    }
  }
}
const scale = (area, factor) => Object.fromEntries(Object.entries(area).map(([key, value]) => [key, value * factor]));

function cut(picture, { left, top, width, height }) {
  const planes = picture.values.length / (picture.width * picture.height);
  const result = { width, height, values: new Float32Array(planes * width * height) };
  for (let row = 0; row < planes * height; row += 1) {
    const from = (Math.floor(row / height) * picture.height + top + (row % height)) * picture.width + left;
    result.values.set(picture.values.subarray(from, from + width), row * width);
  }
  return result;
}
function put(result, own, part, inner, planes) {
  for (let row = 0; row < planes * own.height; row += 1) {
    const plane = Math.floor(row / own.height), y = row % own.height;
    const from = (plane * part.height + inner.top + y) * part.width + inner.left;
    const to = (plane * result.height + own.top + y) * result.width + own.left;
    result.values.set(part.values.subarray(from, from + own.width), to);
  }
}
