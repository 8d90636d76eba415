// From a photo to its painting: lgt.paint.compose in the browser. Pictures of 8 bits are
// { width, height, data } (RGBA); those in planes { width, height, values } (floats in [0, 1]).
import { Enlargement, luma } from "./enlarge.js";
import { withPhotoColors } from "./palette.js";
import { shrink, shrinkClear, stretch, toPlanes } from "./resample.js";

const GAP = 2; // how much larger than wanted a picture still is when the filter takes over
const LIMIT_GAP = 3;
const MARGIN = 16, LEAST_WITH_MARGIN = 320; // pixels of mirror image around a canvas, cut off again

const clip = (x) => Math.min(1, Math.max(0, x));
const roundEven = (x) => { // as Python rounds
  const low = Math.floor(x), rest = x - low;
  return rest === 0.5 ? low + (low % 2) : Math.round(x);
};
const scaled = (sides, factor) => sides.map((side) => Math.max(1, roundEven(side / factor)));

// The size in which a picture is painted.
export function workingSize(sides, canvas, scale) {
  const short = Math.min(...sides);
  const factor = scale * (canvas > 0 && canvas < short ? short / canvas : 1);
  return factor === 1 ? sides : scaled(sides, factor);
}

// Paint a picture; its own data become the painting's.
// settings: { code, own, strength, detail, color, preserveColor, canvas, scale, maxSide, repulsion }
export async function paint(image, engine, settings, mask, report) {
  report(0);
  const longest = Math.max(image.width, image.height), isClear = hasAlpha(image);
  let picture = image;
  if (settings.maxSide && longest > settings.maxSide) {
    const sides = scaled([image.width, image.height], longest / settings.maxSide);
    picture = (isClear ? shrinkClear : shrink)(image, sides, LIMIT_GAP);
  }
  if (settings.strength === 0) return picture;
  const flat = isClear ? onWhite(picture) : picture;
  const sides = [flat.width, flat.height];
  const size = workingSize(sides, settings.canvas, settings.scale);
  const near = toPlanes(shrink(flat, size, GAP));
  const result = await repaint(near, engine, settings, residualWeight(settings.strength, settings.detail), (share) => report(0.9 * share));
  withPhotoColors(result, near, settings.color);
  const painting = near.width === sides[0] && near.height === sides[1] ? result : new Enlargement(near, result, ...sides, 1 - settings.strength);
  finish(picture, flat, painting, settings.preserveColor, mask && stretch(mask, ...sides), isClear);
  report(1);
  return picture;
}
function hasAlpha({ data }) {
  for (let i = 3; i < data.length; i += 4) if (data[i] < 255) return true;
  return false;
}

const residualWeight = (strength, detail) => 1 - strength * (1 - detail);

// decode(x_s), and of what the codec loses of the photo (1 - s) and of its luma `weight`.
async function repaint(photo, engine, settings, weight, report) {
  const { width, height } = photo, { strength } = settings, color = 1 - strength;
  const part = (low, high) => (fraction) => report(low + fraction * (high - low));
  const margin = settings.canvas > 0 && Math.min(width, height) >= LEAST_WITH_MARGIN ? MARGIN : 0;
  const padded = engine.padded(photo, margin);
  const source = await engine.encode(padded, part(0, 0.25));
  const moved = await engine.move(source, settings.code, settings.repulsion, settings.own);
  report(0.4);
  if (strength < 1) moved.values = moved.values.map((v, i) => source.values[i] + strength * (v - source.values[i]));
  const painted = await engine.decode(moved, part(0.4, 0.7));
  const result = cropped(painted, width, height, margin);
  if (weight > 0) {
    const seen = cropped(await engine.decode(source, part(0.7, 1)), width, height, margin).values;
    const size = width * height, { values } = result;
    for (let r = 0, g = size, b = 2 * size; r < size; r += 1, g += 1, b += 1) {
      const red = photo.values[r] - seen[r], green = photo.values[g] - seen[g], blue = photo.values[b] - seen[b];
      const bright = luma(red, green, blue) * (weight - color);
      values[r] = clip(values[r] + bright + color * red);
      values[g] = clip(values[g] + bright + color * green);
      values[b] = clip(values[b] + bright + color * blue);
    }
  }
  report(1);
  if (!result.values.every(Number.isFinite)) throw new Error("The painting holds values that are not finite.");
  return result;
}
export function cropped(picture, width, height, margin) {
  if (picture.width === width && picture.height === height) return picture;
  const values = new Float32Array(3 * width * height);
  for (let row = 0; row < 3 * height; row += 1) {
    const from = (Math.floor(row / height) * picture.height + margin + (row % height)) * picture.width + margin;
    values.set(picture.values.subarray(from, from + width), row * width);
  }
  return { width, height, values };
}

function onWhite({ width, height, data }) {
  const flat = { width, height, data: new Uint8ClampedArray(data) };
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3] / 255;
    for (let c = 0; c < 3; c += 1) flat.data[i + c] = alpha * data[i + c] + 255 * (1 - alpha);
    flat.data[i + 3] = 255;
  }
  return flat;
}

// Write the painting over the picture: with the photo's colours, where the mask is, with its alpha.
function finish(picture, flat, painting, keepsColor, mask, isClear) {
  const { width, height, data } = picture, isEnlarged = painting instanceof Enlargement;
  const row = new Float32Array(4 * width), size = width * height;
  const photo = [0, 0, 0], part = [0, 0, 0];
  for (let y = 0; y < height; y += 1) {
    if (isEnlarged) painting.row(y, row);
    for (let x = 0; x < width; x += 1) {
      const index = y * width + x, at = 4 * index;
      for (let c = 0; c < 3; c += 1) {
        photo[c] = flat.data[at + c] / 255;
        part[c] = clip(isEnlarged ? row[c * width + x] + row[3 * width + x] * photo[c] : painting.values[c * size + index]);
      }
      if (keepsColor) keepChroma(part, photo);
      if (mask) {
        const weight = (luma(mask.data[at], mask.data[at + 1], mask.data[at + 2]) * mask.data[at + 3]) / 65025;
        for (let c = 0; c < 3; c += 1) part[c] = photo[c] + weight * (part[c] - photo[c]);
      }
      const alpha = isClear ? data[at + 3] / 255 : 1;
      for (let c = 0; c < 3; c += 1) {
        if (alpha === 1) data[at + c] = 255 * part[c]; // rounded and clipped
        else if (alpha > 0) data[at + c] = (255 * (part[c] - 1 + alpha)) / alpha;
      }
    }
  }
}
// The luma of the painting with the chroma of the photo, as far as [0, 1] allows.
function keepChroma(part, photo) {
  const y = luma(part[0], part[1], part[2]), own = luma(photo[0], photo[1], photo[2]);
  let room = 1;
  for (let c = 0; c < 3; c += 1) {
    const chroma = photo[c] - own;
    if (chroma > 0) room = Math.min(room, (1 - y) / chroma);
    else if (chroma < 0) room = Math.min(room, y / -chroma);
  }
  for (let c = 0; c < 3; c += 1) part[c] = y + Math.max(0, room) * (photo[c] - own);
}
