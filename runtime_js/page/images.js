/**
 * Images from a file, the clipboard, a drop or the camera, as raw pixels of a square canvas.
 *
 * @module
 */

import { $ } from './view.js';

/**
 * @typedef {object} Images
 * @property {() => Uint8ClampedArray} pixels RGBA of the canvas, row by row
 * @property {(image: CanvasImageSource, width: number, height: number) => void} draw the middle
 *   square of an image
 * @property {(source: Blob) => Promise<void>} open draw an image file
 */

/**
 * Wire the page's image input.
 *
 * @param {number} side of the canvas in pixels
 * @param {() => Promise<void>} onImage there are new pixels; the camera waits for it
 * @param {(error: unknown) => void} onError
 * @returns {Images}
 */
export function wireImages(side, onImage, onError) {
  const canvas = /** @type {HTMLCanvasElement} */ ($('canvas'));
  canvas.width = canvas.height = side;
  const context = /** @type {CanvasRenderingContext2D} */ (
    canvas.getContext('2d', { willReadFrequently: true })
  );
  const draw = (
    /** @type {CanvasImageSource} */ image,
    /** @type {number} */ width,
    /** @type {number} */ height,
  ) => {
    const square = Math.min(width, height);
    context.imageSmoothingQuality = 'high';
    context.fillStyle = '#fff'; // under what is transparent
    context.fillRect(0, 0, side, side);
    const [x, y] = [(width - square) / 2, (height - square) / 2];
    context.drawImage(image, x, y, square, square, 0, 0, side, side);
    canvas.hidden = false;
    $('empty').hidden = true;
    $('drop').classList.add('full');
  };

  /** @type {MediaStream | null} */
  let stream = null;
  const stop = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    $('video').hidden = true;
    $('camera').textContent = 'Use the camera';
    canvas.classList.remove('mirrored');
  };

  const open = async (/** @type {Blob} */ source) => {
    stop();
    let image;
    try {
      image = await createImageBitmap(source);
    } catch {
      const name = source instanceof File && source.name ? source.name : 'this';
      throw named('InputError', `${name} is no image that this browser can read.`);
    }
    draw(image, image.width, image.height);
    image.close();
    await onImage();
  };
  const take = (/** @type {Blob | null | undefined} */ source) => {
    if (source) open(source).catch(onError);
  };

  const watch = async () => {
    if (stream) return stop();
    if (!navigator.mediaDevices) {
      throw named('DeviceError', 'the camera needs a page from https or from this machine.');
    }
    const video = /** @type {HTMLVideoElement} */ ($('video'));
    try {
      const square = { width: { ideal: 640 }, height: { ideal: 640 } };
      stream = await navigator.mediaDevices.getUserMedia({ video: square });
    } catch (e) {
      throw named('DeviceError', `there is no camera for this page (${/** @type {any} */ (e).name}).`);
    }
    video.srcObject = stream;
    await video.play();
    $('camera').textContent = 'Stop the camera';
    canvas.classList.add('mirrored');
    while (stream) {
      if (!document.hidden) {
        draw(video, video.videoWidth, video.videoHeight);
        await onImage();
      }
      await new Promise((next) => requestAnimationFrame(next));
    }
  };

  const drop = /** @type {HTMLElement} */ ($('drop'));
  const file = /** @type {HTMLInputElement} */ ($('file'));
  const choose = () => file.click();
  drop.onclick = $('choose').onclick = choose;
  drop.onkeydown = (e) => {
    if (e.key === 'Enter' || e.key === ' ') {
      e.preventDefault();
      choose();
    }
  };
  file.onchange = () => {
    take(file.files?.[0]);
    file.value = ''; // the same file again is a change, too
  };
  $('camera').onclick = () =>
    watch().catch((/** @type {unknown} */ e) => {
      stop();
      onError(e);
    });
  document.ondragover = (e) => {
    e.preventDefault();
    drop.classList.add('over');
  };
  document.ondragleave = () => drop.classList.remove('over');
  document.ondrop = (e) => {
    e.preventDefault();
    drop.classList.remove('over');
    take(e.dataTransfer?.files[0]);
  };
  document.onpaste = (e) => take(e.clipboardData?.files[0]);
  const pixels = () => context.getImageData(0, 0, side, side).data;
  return { pixels, draw, open };
}

/**
 * @param {string} name
 * @param {string} message
 */
function named(name, message) {
  return Object.assign(new Error(message), { name });
}
