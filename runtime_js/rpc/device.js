/**
 * The page that is a device of a hub: it says who it is, and has a worker for each session.
 *
 * The page itself only listens, so that it hears the hub whatever a kernel does; ending a session is
 * ending its worker. The next worker is started ahead. The page's own timers are not used, since
 * browsers slow them down where nobody looks at the page.
 *
 * @module
 */

import { FrameReader, encode } from './frames.js';
import { VERSION } from './numbers.js';
import { beside } from './socket.js';
import { browserOf, row, show } from './view.js';

const AGAIN = [250, 500, 1000, 2000, 5000]; // milliseconds until it connects anew
const ASK = 60; // seconds that a browser may take to say what it has
const LOG = 8; // sessions that are shown
const GLANCE = 400; // milliseconds between two changes of what the page says it does
const key = new URLSearchParams(location.search).get('key') ?? 'default';
const name = browserOf(navigator.userAgent, navigator.hardwareConcurrency);

/**
 * @typedef {object} Session
 * @property {string} id
 * @property {string} client
 * @property {Worker} worker
 * @property {number} calls
 */

/** @typedef {'starting' | 'connecting' | 'ready' | 'working' | 'stopped'} State */

/** @type {WebSocket | null} */
let socket = null;
/** @type {Session | null} */
let session = null;
let spare = newWorker();
const clock = new Worker(new URL('./clock.js', import.meta.url), { type: 'module' });
clock.onmessage = connect;
let broken = ''; // why the spare one does not work, if it does not
let stopped = false;
let attempts = 0;
let doing = ''; // what is done now
let said = ''; // what the page says of it
let waiting = false; // until it may say something else
/** @type {unknown} */
let targets = null;
/** @type {(targets: unknown) => void} */
let asked = () => {};
/** @type {string[][]} */
const log = [];
const button = /** @type {HTMLButtonElement} */ (document.getElementById('stop'));

/** @param {State} state @param {string} text */
function become(state, text) {
  document.body.dataset.state = state;
  document.title = `${state === 'working' ? '▶ ' : ''}weft device, ${state}`;
  button.textContent = state === 'stopped' ? 'Start' : 'Stop';
  show('state', text);
}

function newWorker() {
  const made = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
  made.onmessage = ({ data }) => hear(made, data);
  made.onerror = (e) => {
    e.preventDefault();
    const why = `its worker failed: ${e.message ?? 'it did not start'}`;
    if (session?.worker === made) finish(why);
    else if (spare === made) broken = why;
  };
  return made;
}

/** @param {Worker} worker @param {any} data */
function hear(worker, { what, text, why, targets: found }) {
  if (what === 'targets') asked(found);
  else if (session?.worker !== worker) return;
  else if (what === 'closed') finish(why);
  else {
    session.calls += text ? 1 : 0;
    say(text);
  }
}

/**
 * Say what is being done; of many short calls some. Each change is a picture that the browser draws,
 * which on a processor takes many times as long as a short call, and a graphics device as much.
 *
 * @param {string} text
 */
function say(text) {
  doing = text;
  if (!waiting) change();
}

function change() {
  waiting = said !== doing;
  if (!waiting) return;
  said = doing;
  show('doing', said);
  setTimeout(change, GLANCE); // slowed down where nobody looks
}

/** @param {string} kind @param {Record<string, unknown>} fields */
function tell(kind, fields) {
  if (socket?.readyState !== WebSocket.OPEN) return;
  for (const chunk of encode({ kind, id: 0, ...fields })) {
    socket.send(/** @type {BufferSource} */ (chunk));
  }
}

/** What runs here: asked of the worker that the first session will have. */
function ask() {
  return new Promise((done, failed) => {
    asked = done;
    const give = () => failed(new Error(broken || `it did not say what it has in ${ASK} s`));
    setTimeout(give, ASK * 1000);
    spare.addEventListener('error', give);
    spare.postMessage({ what: 'targets' });
  });
}

/** @param {string} id @param {string} client */
function begin(id, client) {
  end('another session began');
  if (broken) spare.terminate();
  session = { id, client, worker: broken ? newWorker() : spare, calls: 0 };
  broken = '';
  spare = newWorker();
  become('working', `working for ${client}`);
  session.worker.postMessage({ url: beside(`session/${id}`, location.href).href, name });
}

/** End the session here and tell the hub. @param {string} why what its client should hear */
function finish(why) {
  const { id } = /** @type {Session} */ (session);
  end(why);
  tell('free', { session: id, why });
  become('ready', `ready, as '${key}'`);
}

/** @param {string} why */
function end(why) {
  if (!session) return;
  const { worker, client, calls } = session;
  worker.terminate();
  session = null;
  say('');
  log.unshift([new Date().toLocaleTimeString(), client, `${calls} calls`, why || 'done']);
  log.length = Math.min(log.length, LOG);
  row('log', ...log);
}

function connect() {
  if (stopped || (socket && socket.readyState <= WebSocket.OPEN)) return;
  become('connecting', attempts ? 'the hub is gone; connecting again …' : 'connecting …');
  const made = new WebSocket(beside('device', location.href));
  made.binaryType = 'arraybuffer';
  socket = made;
  const reader = new FrameReader(({ header }) => {
    if (header.kind === 'joined') {
      attempts = 0;
      become('ready', `ready, as '${key}'`);
    } else if (header.kind === 'begin') {
      begin(header.session, header.client);
    } else if (header.kind === 'end') {
      if (session?.id === header.session) finish('');
    } else if (header.kind === 'refused') {
      stop(`the hub says: ${header.message}`);
    }
  });
  made.onopen = () => tell('join', { version: VERSION, key, name, targets });
  made.onmessage = ({ data }) => reader.push(new Uint8Array(data));
  made.onclose = async () => {
    if (socket !== made) return;
    end('the hub is gone');
    if (stopped) return;
    become('connecting', 'the hub is gone; connecting again …');
    if (await isForeign()) stop('the hub was started anew and has another link: open that one');
    else clock.postMessage(AGAIN[Math.min(attempts++, AGAIN.length - 1)]);
  };
}

/** Whether there is a hub to which this page's link means nothing. */
async function isForeign() {
  try {
    return (await fetch('list')).status === 403;
  } catch {
    return false;
  }
}

/** @param {string} why */
function stop(why) {
  stopped = true;
  tell('leave', { why: `${name} was stopped at its page` });
  end('stopped');
  socket?.close();
  socket = null;
  become('stopped', why);
}

button.onclick = () => {
  if (!stopped) {
    stop('stopped: no programs run here');
    return;
  }
  stopped = false;
  attempts = 0;
  connect();
};

/** Browsers put to sleep pages that hold no lock, and phones put out their screens. */
function stayAwake() {
  navigator.locks?.request(`weft ${Math.random()}`, () => new Promise(() => {}));
  const screen = () => {
    if (!document.hidden) navigator.wakeLock?.request('screen').catch(() => {});
  };
  document.addEventListener('visibilitychange', screen);
  screen();
}

become('starting', 'starting …');
try {
  targets = await ask();
  row(
    'targets',
    ...Object.entries(/** @type {Record<string, any>} */ (targets)).map(([kind, t]) => [
      kind,
      t.limits ? t.name : `no: ${t.name}`,
    ]),
  );
  show('name', name);
  stayAwake();
  connect();
} catch (e) {
  become('stopped', `this browser cannot be a device: ${e}`);
  button.disabled = true;
}
