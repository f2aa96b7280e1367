/**
 * weft on the bundle that `weft compile --bundle` wrote.
 *
 * @module
 */

/**
 * @param {import('./bench.js').Job} job
 * @returns {Promise<import('./bench.js').Ready>}
 */
export default async function prepare({ backend, model, inputs, outputs, threads }) {
  const folder = new URL(`${model}/weft/`, location.href);
  const { load } = await import(new URL('weft.js', folder).href);
  const loaded = await load(folder.href, { backend, flags: { threads } });
  /** @type {import('./bench.js').Run} */
  const run = async (given) => {
    const results = await loaded.run(Object.fromEntries(inputs.map(({ name }, k) => [name, given[k]])));
    return outputs.map((name) => results[name].data);
  };
  return { run };
}
