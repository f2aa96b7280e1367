/**
 * Run a classic script, as the UMD builds of a library are.
 *
 * @param {string} src
 * @returns {Promise<void>}
 */
export function script(src) {
  return new Promise((resolve, reject) => {
    const element = document.createElement('script');
    element.onload = () => resolve();
    element.onerror = () => reject(new Error(`cannot load ${src}`));
    element.src = src;
    document.head.append(element);
  });
}
