// Pictures of 8 bits in another size, as Pillow resizes them: { width, height, data }, RGBA.
const LANCZOS = 3, CUBIC = 2, LINEAR = 1; // how far the filters reach, in pixels
const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const FILTERS = {
  [LANCZOS]: (x) => (x > -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0),
  [CUBIC]: (x) => {
    const a = Math.abs(x);
    if (a < 1) return (1.5 * a - 2.5) * a * a + 1;
    return a < 2 ? ((2.5 - 0.5 * a) * a - 4) * a + 2 : 0;
  },
  [LINEAR]: (x) => Math.max(0, 1 - Math.abs(x)),
};
export const cubic = (source, target) => coefficients(source, target, CUBIC);
export const linear = (source, target) => coefficients(source, target, LINEAR);

// For each pixel of a line of another length: the first pixel that it sees, and their weights.
// `extent` is the part of the line that is brought to `target` pixels; all of it unless given.
function coefficients(source, target, filter, extent = source) {
  const scale = extent / target, stretch = Math.max(scale, 1), reach = filter * stretch;
  const most = 2 * Math.ceil(reach) + 1;
  const starts = new Int32Array(target), counts = new Int32Array(target), weights = new Float32Array(target * most);
  for (let i = 0; i < target; i += 1) {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const last = Math.min(source, Math.trunc(center + reach + 0.5));
    const found = [];
    for (let j = first; j < last; j += 1) found.push(FILTERS[filter]((j - center + 0.5) / stretch));
    const sum = found.reduce((total, weight) => total + weight, 0);
    found.forEach((weight, j) => { weights[i * most + j] = weight / sum; });
    starts[i] = first;
    counts[i] = last - first;
  }
  return { starts, counts, weights, most };
}

// Boxes of pixels become their means.
function reduced({ width, height, data }, across, down) {
  const result = blank(Math.ceil(width / across), Math.ceil(height / down));
  const sums = new Float64Array(4);
  for (let y = 0, to = 0; y < result.height; y += 1) {
    const bottom = Math.min(height, (y + 1) * down);
    for (let x = 0; x < result.width; x += 1, to += 4) {
      const right = Math.min(width, (x + 1) * across);
      sums.fill(0);
      for (let row = y * down; row < bottom; row += 1) {
        for (let at = 4 * (row * width + x * across), end = 4 * (row * width + right); at < end; at += 4) {
          for (let c = 0; c < 4; c += 1) sums[c] += data[at + c];
        }
      }
      const count = (bottom - y * down) * (right - x * across);
      for (let c = 0; c < 4; c += 1) result.data[to + c] = Math.floor(sums[c] / count + 0.5);
    }
  }
  return result;
}
const blank = (width, height) => ({ width, height, data: new Uint8ClampedArray(4 * width * height) });

// Row by row: only the rows that the current one sees are held at their new width.
function filtered(picture, width, height, filter, extent) {
  const { data } = picture, result = blank(width, height);
  const columns = coefficients(picture.width, width, filter, extent[0]);
  const lines = coefficients(picture.height, height, filter, extent[1]);
  const wide = new Map();
  const sums = new Float64Array(4 * width);
  const widened = (y) => {
    if (!wide.has(y)) {
      const row = new Uint8ClampedArray(4 * width); // 8 bits between the two passes, as Pillow
      for (let x = 0; x < width; x += 1) {
        let r = 0, g = 0, b = 0, a = 0;
        for (let j = 0, at = 4 * (y * picture.width + columns.starts[x]); j < columns.counts[x]; j += 1, at += 4) {
          const weight = columns.weights[x * columns.most + j];
          r += weight * data[at]; g += weight * data[at + 1]; b += weight * data[at + 2]; a += weight * data[at + 3];
        }
        row[4 * x] = r; row[4 * x + 1] = g; row[4 * x + 2] = b; row[4 * x + 3] = a;
      }
      wide.set(y, row);
    }
    return wide.get(y);
  };
  for (let y = 0; y < height; y += 1) {
    const first = lines.starts[y];
    for (const old of wide.keys()) if (old < first) wide.delete(old);
    sums.fill(0);
    for (let j = 0; j < lines.counts[y]; j += 1) {
      const row = widened(first + j), weight = lines.weights[y * lines.most + j];
      for (let i = 0; i < sums.length; i += 1) sums[i] += weight * row[i];
    }
    result.data.set(sums, 4 * y * width);
  }
  return result;
}

// Smaller with Lanczos' filter, as `Image.resize(..., reducing_gap=gap)`.
export function shrink(picture, [width, height], gap) {
  if (width === picture.width && height === picture.height) return picture;
  const across = Math.trunc(picture.width / width / gap) || 1;
  const down = Math.trunc(picture.height / height / gap) || 1;
  const extent = [picture.width / across, picture.height / down];
  return filtered(across > 1 || down > 1 ? reduced(picture, across, down) : picture, width, height, LANCZOS, extent);
}
// A mask at its photo's size.
export function stretch(picture, width, height) {
  if (width === picture.width && height === picture.height) return picture;
  return filtered(picture, width, height, LINEAR, [picture.width, picture.height]);
}

// Transparent pixels must not bleed their colour: shrink with the colours times alpha.
export function shrinkClear(picture, size, gap) {
  const { width, height, data } = picture;
  const times = { width, height, data: new Uint8ClampedArray(data) };
  for (let i = 0; i < data.length; i += 4) for (let c = 0; c < 3; c += 1) times.data[i + c] = (data[i + c] * data[i + 3]) / 255;
  const result = shrink(times, size, gap);
  for (let i = 0; i < result.data.length; i += 4) {
    const alpha = result.data[i + 3];
    if (alpha) for (let c = 0; c < 3; c += 1) result.data[i + c] = (255 * result.data[i + c]) / alpha;
  }
  return result;
}

// Planes of red, green and blue in [0, 1].
export function toPlanes({ width, height, data }) {
  const size = width * height, values = new Float32Array(3 * size);
  for (let i = 0, at = 0; i < size; i += 1, at += 4) {
    values[i] = data[at] / 255;
    values[size + i] = data[at + 1] / 255;
    values[2 * size + i] = data[at + 2] / 255;
  }
  return { width, height, values };
}
