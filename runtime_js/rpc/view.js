/**
 * What the hub's two pages do to their documents.
 *
 * @module
 */

/** @param {string} id @param {string} text */
export function show(id, text) {
  /** @type {HTMLElement} */ (document.getElementById(id)).textContent = text;
}

/** Fill a table: one list of texts a row. @param {string} id @param {...string[]} rows */
export function row(id, ...rows) {
  const made = rows.map((texts) => {
    const tr = document.createElement('tr');
    for (const text of texts) tr.insertCell().textContent = text;
    return tr;
  });
  const body = /** @type {HTMLElement} */ (document.getElementById(id));
  body.replaceChildren(...made);
  /** @type {HTMLElement} */ (body.closest('section') ?? body).hidden = !rows.length;
}

const BROWSERS = /** @type {const} */ ([
  ['Firefox', 'Firefox'],
  ['Edg', 'Edge'],
  ['OPR', 'Opera'],
  ['SamsungBrowser', 'Samsung Internet'],
  ['HeadlessChrome', 'Headless Chrome'],
  ['Chrome', 'Chrome'],
  ['Version', 'Safari'],
]);

/**
 * A browser in words.
 *
 * @param {string} agent what it says it is: `navigator.userAgent`
 * @param {number} cores
 */
export function browserOf(agent, cores) {
  const system = /\(([^)]*)\)/.exec(agent)?.[1].replace(/^X11; /, '') ?? '';
  for (const [word, title] of BROWSERS) {
    const version = new RegExp(`${word}/(\\d+)`).exec(agent)?.[1];
    if (version) return `${title} ${version} (${system}), ${cores} cores`;
  }
  return `${agent}, ${cores} cores`;
}
