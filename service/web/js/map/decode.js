// Pictures of the service as pixels.

/**
 * The pixels of a PNG.
 *
 * @param {string} png - in base64
 * @returns {Promise<ImageData>}
 */
export async function decodePng(png) {
  const picture = new Image();
  picture.src = png.startsWith("data:") ? png : `data:image/png;base64,${png}`;
  await picture.decode();
  const { naturalWidth: width, naturalHeight: height } = picture;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  if (!context) throw new Error("this browser cannot draw on a canvas");
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, width, height);
}
