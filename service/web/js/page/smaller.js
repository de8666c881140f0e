// Photos of more than the service takes, made smaller before they are sent.
const SIDE = 2048; // far more than any network looks at

/** The picture as a JPEG that is within the limits; null where it is already, or cannot be read here. */
export async function smaller(blob, bitmap, limits) {
  if (!bitmap || !limits) return null;
  const { width, height } = bitmap;
  if (blob.size <= limits.max_body_bytes && width * height <= limits.max_pixels) return null;
  let scale = Math.min(
    1,
    SIDE / Math.max(width, height),
    Math.sqrt(limits.max_pixels / (width * height)),
  );
  for (; ; scale /= 2) {
    const made = await jpeg(
      bitmap,
      Math.max(1, Math.floor(scale * width)),
      Math.max(1, Math.floor(scale * height)),
    );
    if (made.size <= limits.max_body_bytes) return made;
    if (scale * Math.max(width, height) < 2) return null;
  }
}

function jpeg(bitmap, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // what shines through, as in the service
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
}
