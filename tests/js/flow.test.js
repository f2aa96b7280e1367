// Control flow of programs: parsed, checked, walked.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { extents, kept, parseFlow, ranges } from '../../runtime_js/flow.js';

const slots = [{ dtype: 'bool' }, { dtype: 'bool' }, { dtype: 'int64' }, { dtype: 'float32' }];
const parse = (data, steps) => parseFlow(data, steps, slots, (why) => new Error(why));

/** The ranges that run, where slots have these values in turn. */
async function walked(flow, values) {
  const found = [];
  const read = async (slot) => values[slot].shift();
  for await (const range of ranges(flow, read)) found.push(range);
  return found;
}

const LOOP = ['loop', -1, 2, [0, 1], [['run', 1, 2]], [['run', 2, 3]], [['run', 3, 4]]];

test('loops go on as long as all say so', async () => {
  const flow = parse([['run', 0, 1], LOOP], 4);
  const [before, even, odd, last] = [[0, 1], [1, 2], [2, 3], [3, 4]];
  assert.deepEqual(await walked(flow, { 0: [1, 1], 1: [1], 2: [2] }), [before, even, odd]);
  assert.deepEqual(await walked(flow, { 0: [1], 1: [0], 2: [9] }), [before, even, last]);
  assert.deepEqual(await walked(flow, { 0: [0], 1: [], 2: [9] }), [before]);
  assert.deepEqual(await walked(flow, { 0: [], 1: [], 2: [-3] }), [before]);
});

test('branches', async () => {
  const flow = parse([['if', 0, [['run', 0, 1]], []], ['run', 1, 2]], 2);
  assert.deepEqual(await walked(flow, { 0: [1] }), [[0, 1], [1, 2]]);
  assert.deepEqual(await walked(flow, { 0: [0] }), [[1, 2]]);
});

test('a branch that fails ends the run with its words', async () => {
  const flow = parse([['run', 0, 1], ['if', 0, [['run', 1, 2]], [['fail', 'no', 'node n']]]], 2);
  assert.deepEqual(extents(flow), [{ begin: 1, end: 2, loops: false, slots: [0] }]);
  assert.deepEqual(await walked(flow, { 0: [1] }), [[0, 1], [1, 2]]);
  await assert.rejects(walked(flow, { 0: [0] }), { name: 'InputError', message: /^node n: no\n/ });
});

test('what comes into a loop keeps its storage', () => {
  const flow = parse([['run', 0, 1], LOOP, ['run', 4, 5]], 5);
  assert.deepEqual(extents(flow), [{ begin: 1, end: 4, loops: true, slots: [2, 0, 1] }]);
  const lives = new Map([[3, { first: 0, last: 1 }], [9, { first: 1, last: 2 }]]);
  assert.deepEqual([...kept(flow, [0, 1, 2, 3], lives)], [2, 0, 1, 3]);
});

test('flows that do not fit together', () => {
  const wrong = {
    'not in order': [['run', 1, 4]],
    'are in no part': [['run', 0, 3]],
    'is no bool': [['if', 3, [], []]],
    'has no condition': [['if', -1, [], []]],
    'never ends': [['loop', -1, -1, [-1, -1], [], [], []]],
    'is malformed': [['loop', 1, -1, [-1], [], [], []]],
    'is no int64': [['loop', -1, 0, [-1, -1], [], [], []]],
    "no flow 'dance'": [['dance']],
    'not a list': [['if', 0, 7, []]],
  };
  for (const [why, data] of Object.entries(wrong)) {
    assert.throws(() => parse(data, 4), { message: new RegExp(why) });
  }
});
