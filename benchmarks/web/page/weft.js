/**
 * weft on the bundle that `weft compile --bundle` wrote.
 *
 * @module
 */

/**
 * @param {import('./bench.js').Job} job
 * @returns {Promise<import('./bench.js').Ready>}
 */
export default async function prepare({ backend, model, name, threads }) {
  const folder = new URL(`${model}/weft/`, location.href);
  const { load } = await import(new URL('weft.js', folder).href);
  const loaded = await load(folder.href, { backend, flags: { threads } });
  /** @param {Float32Array} input */
  const run = async (input) => {
    const results = await loaded.run({ [name]: input });
    return Object.values(results)[0].data;
  };
  return { run, layout: 'NCHW' };
}
