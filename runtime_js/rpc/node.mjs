// Answers messages under Node: node node.mjs FD
//
// Messages come on stdin and answers go to stdout; all words go to stderr. FD is a pipe that nobody
// writes to: when its other end is closed, whoever started this is gone.

import { readSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

import { answering } from './answer.js';
import { FrameReader, encode } from './frames.js';

const CHUNK = 1 << 20;

console.log = console.info = console.debug = console.error;

// In a thread of its own, since a kernel may keep this one for long. Nothing is to be tidied up.
const watch = `
  const { workerData } = require('node:worker_threads');
  const { Socket } = require('node:net');
  const end = () => process.kill(process.pid, 'SIGKILL');
  new Socket({ fd: workerData }).on('close', end).on('error', end).resume();
`;
new Worker(watch, { eval: true, workerData: Number(process.argv[2]) }).unref();

const answer = answering(`Node ${process.versions.node}`);
const messages = [];
const reader = new FrameReader((message) => messages.push(message));
const chunk = new Uint8Array(CHUNK);

/** Writes to stdout, which is a pipe that may be full. */
function write(bytes) {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (e) {
      if (e.code !== 'EAGAIN') throw e;
    }
  }
}

// Whoever asks waits for the answer, and so does this thread for the next question: the loop of
// events, which would read in small pieces, runs while there is something to await.
for (;;) {
  const count = readSync(0, chunk);
  if (count === 0) process.kill(process.pid, 'SIGKILL'); // workers that sleep do not matter
  reader.push(chunk.subarray(0, count));
  for (let message; (message = messages.shift()); ) {
    const said = await answer(message);
    if (said) for (const part of encode(said.header, said.parts)) write(part);
  }
}
