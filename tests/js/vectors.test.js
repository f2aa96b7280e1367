/** What Python says of textures, layouts, roundings and shards, JavaScript says too. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import {
  DTYPES, bfloatToNumber, convert, halfToNumber, numberToBfloat, numberToHalf, sizeOf,
} from '../../runtime_js/dtype.js'; // prettier-ignore
import { BundleError, DeviceError } from '../../runtime_js/errors.js';
import { Layout } from '../../runtime_js/layout.js';
import { Params, parseSafetensors } from '../../runtime_js/params.js';
import { fromTexels, textureShape, toTexels } from '../../runtime_js/texture.js';

const read = (name) =>
  JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8'));
const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64'));
const upTo = (n) => Float32Array.from({ length: n }, (_, k) => k + 1);

test('texture shapes', () => {
  const cases = read('texture_shapes');
  assert.ok(cases.some((c) => c.shape === null) && cases.some((c) => c.shape?.[2] === 8));
  for (const { size, layers, limit, shape } of cases) {
    if (shape === null) assert.throws(() => textureShape(size, layers, limit), DeviceError);
    else assert.deepEqual(Object.values(textureShape(size, layers, limit)), shape);
  }
});

test('texels', () => {
  for (const { size, shape, memory } of read('texels')) {
    const [width, height, layers] = shape;
    const out = new Float32Array(memory.length).fill(-1);
    toTexels(upTo(size), { width, height, layers }, out);
    assert.deepEqual([...out], memory);
    assert.deepEqual(fromTexels(out, { width, height, layers }, size), upTo(size));
  }
});

test('layouts pack and unpack', () => {
  for (const { text, shape, packed } of read('layouts')) {
    const layout = Layout.parse(text, shape);
    assert.equal(String(layout), text);
    const flat = upTo(sizeOf(shape));
    assert.deepEqual([...layout.pack(flat)], packed);
    assert.deepEqual(layout.unpack(Float32Array.from(packed)), flat);
    assert.equal(layout.isRowMajor, String(packed) === String([...flat]) && packed.length > 0);
  }
});

test('layouts that do not fit', () => {
  for (const [text, shape] of [
    ['[a0:3]', [4]],
    ['[a0/2:2]', [4]],
    ['[a0:4 | a1:2]', [4]],
    ['[a0:4', [4]],
    ['NCHW', [4]],
    ['[a0:4 | a0/3:2]', [4]],
  ]) {
    assert.throws(() => Layout.parse(text, shape), BundleError, text);
  }
});

test('roundings of floats', () => {
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  for (const { float32, float16, bfloat16 } of read('roundings')) {
    bits[0] = float32;
    assert.equal(numberToHalf(float[0]), float16, `${float[0]}`);
    assert.equal(numberToBfloat(float[0]), bfloat16, `${float[0]}`);
  }
  for (let h = 0; h < 65536; h++) {
    const [half, bfloat] = [halfToNumber(h), bfloatToNumber(h)];
    if (!Number.isNaN(half)) assert.equal(numberToHalf(half), h);
    if (!Number.isNaN(bfloat)) assert.equal(numberToBfloat(bfloat), h);
  }
  assert.ok(Number.isNaN(halfToNumber(numberToHalf(NaN))));
  assert.ok(Number.isNaN(bfloatToNumber(numberToBfloat(NaN))));
});

test('conversions between dtypes', () => {
  const { int64, int32, uint8, bool, float16, float32, uint64 } = DTYPES;
  const wide = BigInt64Array.of(-1n, 2n ** 40n + 5n, 7n);
  assert.deepEqual(convert(wide, int64, int32), Int32Array.of(-1, 5, 7));
  assert.deepEqual(convert(Int32Array.of(-3, 4), int32, int64), BigInt64Array.of(-3n, 4n));
  assert.deepEqual(convert(Int32Array.of(256, 0, -9), int32, bool), Uint8Array.of(1, 0, 1));
  assert.deepEqual(convert(Uint32Array.of(257), DTYPES.uint32, uint8), Uint8Array.of(1));
  assert.deepEqual(convert(Uint16Array.of(0x3e00), float16, float32), Float32Array.of(1.5));
  assert.deepEqual(convert(Float32Array.of(1.5), float32, float16), Uint16Array.of(0x3e00));
  const most = BigUint64Array.of(2n ** 64n - 1n);
  assert.deepEqual(convert(most, uint64, DTYPES.uint32), Uint32Array.of(2 ** 32 - 1));
});

test('a shard of every dtype', () => {
  const { good, tensors } = read('safetensors');
  const found = parseSafetensors(bytes(good), 'here');
  assert.deepEqual([...found.keys()].sort(), Object.keys(tensors).sort());
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    const { dtype, data, shape: got } = found.get(name);
    assert.deepEqual(got, shape);
    const numbers = convert(data, dtype, DTYPES.float64);
    assert.deepEqual([...numbers], values, name);
  }
  // At an odd address, elements are copied out.
  const odd = new Uint8Array(bytes(good).length + 1);
  odd.set(bytes(good), 1);
  assert.deepEqual(parseSafetensors(odd.subarray(1), 'here').get('f32'), found.get('f32'));
});

test('shards that are damaged', () => {
  const { bad } = read('safetensors');
  assert.equal(Object.keys(bad).length, 14);
  for (const [name, text] of Object.entries(bad)) {
    assert.throws(() => parseSafetensors(bytes(text), 'w.safetensors'), BundleError, name);
  }
});

test('constants: coded, packed, missing', () => {
  const params = new Params(parseSafetensors(bytes(read('safetensors').good), 'here'), true);
  const slot = (source, dtype, shape, layout = '', physical = shape) => {
    return { name: 's', source, dtype, shape, layout, physical };
  };
  const numbers = (...about) => [...params.constant(slot(...about))];
  assert.deepEqual(numbers('i8', 'float32', [2, 3]), [-63.5, 2.5, 50, 0.25, 0.5, 0.75]);
  assert.deepEqual(numbers('i8', 'int8', [2, 3]), [-127, 5, 100, 1, 2, 3]);
  assert.deepEqual(numbers('f16', 'float32', [3]), [1.5, halfToNumber(0xae66), 65504]);
  assert.deepEqual(numbers('bf16', 'float32', [3])[0], 1.5);
  const packed = numbers('f32', 'float32', [2, 2], '[a1:2 | a0:4]', [2, 4]);
  assert.deepEqual(packed, [1.5, 3, 0, 0, -2, 0.25, 0, 0]);
  for (const wrong of [
    slot('gone', 'float32', [1]),
    slot('f32', 'float32', [5]),
    slot('f32', 'int32', [2, 2]),
    slot('i64', 'float32', [2]),
    slot('f32', 'float32', [2, 2], '[a1:2 | a0:4]', [2, 2]),
  ]) {
    assert.throws(() => params.constant(wrong), BundleError, JSON.stringify(wrong));
  }
});

test('constants: weights transformed while loading', () => {
  const weights = Float32Array.from({ length: 2 * 3 * 9 }, (_, k) => Math.fround(Math.sin(k)));
  const stored = { dtype: DTYPES.float32, shape: [2, 3, 3, 3], data: weights };
  const matrix = [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]];
  const params = (derived) => new Params(new Map([['w', stored]]), true, { u: derived });
  const shape = [4, 4, 3, 2];
  const slot = { name: 's', source: 'u', dtype: 'float32', shape, layout: '', physical: shape };
  const made = params({ source: 'w', matrix }).constant(slot);
  for (let a = 0, at = 0; a < 4; a++) {
    for (let b = 0; b < 4; b++) {
      for (let c = 0; c < 3; c++) {
        for (let f = 0; f < 2; f++, at++) {
          let sum = 0;
          for (let y = 0; y < 3; y++) {
            for (let x = 0; x < 3; x++) {
              sum += matrix[a][y] * matrix[b][x] * weights[((f * 3 + c) * 3 + y) * 3 + x];
            }
          }
          assert.ok(Math.abs(made[at] - sum) < 1e-6, `${[a, b, c, f]}`);
        }
      }
    }
  }
  const packed = { ...slot, layout: '[a3:2 | a0:4 | a1:4 | a2:4]', physical: [2, 4, 4, 4] };
  const blocks = params({ source: 'w', matrix }).constant(packed);
  assert.equal(blocks[64 + 5], made[(4 + 0) * 6 - 6 * 3 + 1 * 2 + 1]);
  assert.equal(blocks[3], 0);
  for (const wrong of [
    { source: 'gone', matrix },
    { source: 'w', matrix: matrix.slice(1) },
    { source: 'w', matrix: matrix.map((row) => row.slice(1)) },
    { source: 'w' },
  ]) {
    assert.throws(() => params(wrong).constant(slot), BundleError, JSON.stringify(wrong));
  }
});
