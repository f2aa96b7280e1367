/**
 * A serverless function that says what is in a photograph: a base64 JPEG in, the best five classes
 * out. `handler(event)` is what AWS Lambda calls; other hosts differ in little but the names.
 *
 *     {"image": "/9j/4AAQSk…"}   ->   {"classes": [{"name": "espresso", "score": 0.95}, …]}
 */

import jpeg from 'jpeg-js';
import { load } from './model/weft.js';

// Once for each process, before the first call: a warm call only decodes and computes.
const model = await load(new URL('model/', import.meta.url), { backend: 'wasm' });
const { input, output } = model.meta;

/**
 * @param {{body?: string, isBase64Encoded?: boolean}} event
 * @returns {Promise<{statusCode: number, headers: Record<string, string>, body: string}>}
 */
export async function handler(event) {
  let pixels;
  try {
    const text = event.isBase64Encoded ? Buffer.from(event.body ?? '', 'base64') : event.body;
    const { image } = JSON.parse(String(text));
    if (typeof image !== 'string') throw new Error('"image" is missing');
    pixels = jpeg.decode(Buffer.from(image, 'base64'), {
      useTArray: true,
      maxResolutionInMP: 40,
      maxMemoryUsageInMB: 400,
    });
  } catch (e) {
    return answer(400, { error: `send {"image": a JPEG in base64}: ${e.message}` });
  }
  const outputs = await model.run({ [input.name]: square(pixels, input.canvas) });
  const scores = outputs[output.scores].toNumbers();
  const classes = outputs[output.classes]
    .toNumbers()
    .map((k, i) => ({ name: output.labels[k], score: Number(scores[i].toFixed(4)) }));
  return answer(200, { classes });
}

/**
 * The middle square of an image as `side` × `side` pixels, each the mean of those it covers. All
 * else (crop, normalisation, layout) is part of the compiled model.
 *
 * @param {{width: number, height: number, data: Uint8Array}} image RGBA
 * @param {number} side
 */
function square({ width, height, data }, side) {
  const edge = Math.min(width, height);
  const [left, top] = [(width - edge) >> 1, (height - edge) >> 1];
  const pixels = new Uint8Array(side * side * 4);
  const span = (k) => {
    const begin = Math.floor((k * edge) / side);
    return [begin, Math.max(begin + 1, Math.floor(((k + 1) * edge) / side))];
  };
  for (let y = 0; y < side; y++) {
    const [y0, y1] = span(y);
    for (let x = 0; x < side; x++) {
      const [x0, x1] = span(x);
      const count = (y1 - y0) * (x1 - x0);
      for (let c = 0; c < 4; c++) {
        let sum = 0;
        for (let v = y0; v < y1; v++) {
          for (let u = x0; u < x1; u++) sum += data[((top + v) * width + left + u) * 4 + c];
        }
        pixels[(y * side + x) * 4 + c] = sum / count + 0.5;
      }
    }
  }
  return pixels;
}

/**
 * @param {number} statusCode
 * @param {unknown} body
 */
function answer(statusCode, body) {
  const headers = { 'content-type': 'application/json' };
  return { statusCode, headers, body: JSON.stringify(body) };
}
