// Images of more than the service takes, made smaller before they are sent.

/** @typedef {{ max_body_bytes: number, max_pixels: number }} Limits */
/** @typedef {{ width: number, height: number }} Size */
/** @typedef {{ blob: Blob, size: Size }} Reduced */

const MAX_SIDE = 2048; // far more than any network looks at
const JPEG_QUALITY = 0.92;

/**
 * The image as a JPEG within the limits; null where it is within them already, or where the
 * browser cannot read it.
 *
 * @param {Blob} blob
 * @param {ImageBitmap | null} bitmap
 * @param {Limits | null} limits
 * @returns {Promise<Reduced | null>}
 */
export async function smaller(blob, bitmap, limits) {
  if (!bitmap || !limits || fits(blob.size, bitmap, limits)) return null;
  for (let scale = firstScale(bitmap, limits); ; scale /= 2) {
    const size = scaled(bitmap, scale);
    const reduced = await encodeJpeg(bitmap, size);
    if (reduced.size <= limits.max_body_bytes) return { blob: reduced, size };
    if (Math.max(size.width, size.height) === 1) return null;
  }
}

/**
 * @param {number} nBytes
 * @param {Size} size
 * @param {Limits} limits
 */
export const fits = (nBytes, { width, height }, { max_body_bytes, max_pixels }) =>
  nBytes <= max_body_bytes && width * height <= max_pixels;

/**
 * The largest scale, 1 at most, at which the number of pixels is within the limits.
 *
 * @param {Size} size
 * @param {Pick<Limits, "max_pixels">} limits
 */
export const firstScale = ({ width, height }, { max_pixels }) =>
  Math.min(1, MAX_SIDE / Math.max(width, height), Math.sqrt(max_pixels / (width * height)));

/**
 * @param {Size} size
 * @param {number} scale
 * @returns {Size}
 */
export const scaled = ({ width, height }, scale) => ({
  width: Math.max(1, Math.floor(scale * width)),
  height: Math.max(1, Math.floor(scale * height)),
});

/**
 * @param {ImageBitmap} bitmap
 * @param {Size} size
 */
function encodeJpeg(bitmap, { width, height }) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser cannot draw on a canvas");
  context.fillStyle = "#fff"; // alpha is composited on white, as in the service
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
}
