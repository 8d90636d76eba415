// The photo's broad colours in a painting: lgt.paint.palette in the browser, in planes.
import { luma } from "./enlarge.js";
import { linear } from "./resample.js";

const CELLS = 40, SURE = 3;

// Bring back a share of the photo's broad colours; the painting is changed where it lies.
export function withPhotoColors(painting, photo, share) {
  if (!share) return;
  const { width, height, values } = painting, scale = Math.min(1, CELLS / Math.min(width, height));
  const rows = Math.max(1, Math.round(height * scale)), columns = Math.max(1, Math.round(width * scale));
  const own = chroma(painting, rows, columns), given = chroma(photo, rows, columns);
  const strong = saturation(own), wanted = saturation(given);
  const toGoal = Math.min(1, strong / (wanted + 1e-6)), part = share * Math.min(1, (SURE * wanted) / (strong + 1e-6));
  const change = own.map((value, i) => part * (given[i] * toGoal - value));
  const across = linear(columns, width), down = linear(rows, height), line = new Float32Array(columns);
  for (let c = 0, to = 0; c < 3; c += 1) {
    for (let y = 0; y < height; y += 1) {
      line.fill(0);
      for (let j = 0; j < down.counts[y]; j += 1) {
        const weight = down.weights[y * down.most + j], from = (c * rows + down.starts[y] + j) * columns;
        for (let x = 0; x < columns; x += 1) line[x] += weight * change[from + x];
      }
      for (let x = 0; x < width; x += 1, to += 1) {
        let sum = values[to];
        for (let j = 0; j < across.counts[x]; j += 1) sum += across.weights[x * across.most + j] * line[across.starts[x] + j];
        values[to] = Math.min(1, Math.max(0, sum));
      }
    }
  }
}

// The mean chroma of cells: three planes, one after the other.
function chroma({ width, height, values }, rows, columns) {
  const size = rows * columns, means = new Float32Array(3 * size);
  const starts = (count, length) => Array.from({ length: count + 1 }, (_, i) => Math.floor((i * length) / count));
  const top = starts(rows, height), left = starts(columns, width);
  for (let c = 0; c < 3; c += 1) {
    for (let i = 0; i < rows; i += 1) {
      for (let j = 0; j < columns; j += 1) {
        let sum = 0;
        for (let y = top[i]; y < top[i + 1]; y += 1) {
          for (let x = left[j], at = (c * height + y) * width; x < left[j + 1]; x += 1) sum += values[at + x];
        }
        means[c * size + i * columns + j] = sum / ((top[i + 1] - top[i]) * (left[j + 1] - left[j]));
      }
    }
  }
  for (let i = 0; i < size; i += 1) {
    const grey = luma(means[i], means[size + i], means[2 * size + i]);
    for (let c = 0; c < 3; c += 1) means[c * size + i] -= grey;
  }
  return means;
}
function saturation(chroma) {
  const size = chroma.length / 3;
  let sum = 0;
  for (let i = 0; i < size; i += 1) sum += Math.hypot(chroma[i], chroma[size + i], chroma[2 * size + i]);
  return sum / size;
}
