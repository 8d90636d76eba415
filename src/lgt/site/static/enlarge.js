// A painting of the working size at its photo's: a guided filter; see lgt.paint.enlarge.
import { cubic } from "./resample.js";

const REACH = 2; // of the filter's windows, in pixels of the working size
export const luma = (r, g, b) => 0.299 * r + 0.587 * g + 0.114 * b;

function lumaOf({ width, height, values }) {
  const size = width * height, result = new Float32Array(size);
  for (let i = 0; i < size; i += 1) result[i] = luma(values[i], values[size + i], values[2 * size + i]);
  return result;
}
// Means over windows of 5 x 5 pixels, cut off at the borders.
function localMean(values, width, height) {
  const rows = new Float32Array(values.length), result = new Float32Array(values.length);
  for (let y = 0; y < height; y += 1) {
    const first = Math.max(0, y - REACH), last = Math.min(height - 1, y + REACH);
    for (let x = 0; x < width; x += 1) {
      let sum = 0;
      for (let k = first; k <= last; k += 1) sum += values[k * width + x];
      rows[y * width + x] = sum / (last - first + 1);
    }
  }
  for (let x = 0; x < width; x += 1) {
    const first = Math.max(0, x - REACH), last = Math.min(width - 1, x + REACH);
    for (let y = 0; y < height; y += 1) {
      let sum = 0;
      for (let k = first; k <= last; k += 1) sum += rows[y * width + k];
      result[y * width + x] = sum / (last - first + 1);
    }
  }
  return result;
}
// The slope of the painting's luma over the photo's, within [least, 1].
function localSlope(near, result, least) {
  const { width, height } = near, x = lumaOf(near), y = lumaOf(result);
  const mean = (values) => localMean(values, width, height);
  const [mx, my, mxy, mxx] = [mean(x), mean(y), mean(x.map((v, i) => v * y[i])), mean(x.map((v) => v * v))];
  return x.map((_, i) => Math.min(1, Math.max(least, (mxy[i] - mx[i] * my[i]) / (mxx[i] - mx[i] * mx[i] + 1e-4))));
}

export class Enlargement {
  // near: the photo at the working size; result: its painting; least: least gain.
  constructor(near, result, width, height, least) {
    const size = near.width * near.height, gain = localSlope(near, result, least);
    this.near = near;
    this.width = width;
    this.maps = new Float32Array(4 * size); // offsets of red, green and blue, and the gain
    for (let c = 0; c < 3; c += 1) {
      for (let i = 0; i < size; i += 1) this.maps[c * size + i] = result.values[c * size + i] - gain[i] * near.values[c * size + i];
    }
    this.maps.set(gain, 3 * size);
    this.columns = cubic(near.width, width);
    this.lines = cubic(near.height, height);
    this.wide = new Map(); // rows of the working size that are as wide as the photo
  }
  widened(y) {
    if (!this.wide.has(y)) {
      const { near, width, maps, columns: { starts, counts, weights, most } } = this;
      const row = new Float32Array(4 * width);
      for (let c = 0; c < 4; c += 1) {
        const start = (c * near.height + y) * near.width;
        for (let x = 0; x < width; x += 1) {
          let sum = 0;
          for (let j = 0, at = start + starts[x]; j < counts[x]; j += 1) sum += weights[x * most + j] * maps[at + j];
          row[c * width + x] = sum;
        }
      }
      this.wide.set(y, row);
    }
    return this.wide.get(y);
  }
  // Offsets and gain under row `y` of the photo, into `into`; rows are asked for from the top.
  row(y, into) {
    const { starts, counts, weights, most } = this.lines;
    for (const old of this.wide.keys()) if (old < starts[y]) this.wide.delete(old);
    into.fill(0);
    for (let j = 0; j < counts[y]; j += 1) {
      const row = this.widened(starts[y] + j), weight = weights[y * most + j];
      for (let i = 0; i < into.length; i += 1) into[i] += weight * row[i];
    }
    return into;
  }
}
