// Colour maps as the service lists them: the table of a map is read off its sample strip.
const tables = new Map();

/** The colours of a map, RGB: from against over nothing to for. */
export async function tableOf(colormap) {
  if (!tables.has(colormap.name)) tables.set(colormap.name, await read(colormap.strip));
  return tables.get(colormap.name);
}

async function read(strip) {
  const picture = new Image();
  picture.src = strip.startsWith("data:") ? strip : `data:image/png;base64,${strip}`;
  await picture.decode();
  const canvas = new OffscreenCanvas(picture.naturalWidth, 1);
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, 1);
  return Array.from({ length: canvas.width }, (_, i) => [...data.subarray(4 * i, 4 * i + 3)]);
}

/** The colour of a share of the bound, from -1 to 1. */
export function colorOf(table, share) {
  const position = ((table.length - 1) * (Math.max(-1, Math.min(1, share)) + 1)) / 2;
  return table[Math.round(position)];
}
