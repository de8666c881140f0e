// Relevance on a finer grid, as `enlarge=smooth` has it.
const SMOOTH_PIXELS = 256;

/** Interpolate linearly between the centres of pixels; beyond the outer ones nothing changes. */
export function smooth({ values, width, height }) {
  const scale = Math.max(1, Math.round(SMOOTH_PIXELS / Math.max(width, height)));
  const [columns, rows] = [places(width, scale), places(height, scale)];
  const row = (y, [left, right, share]) =>
    (1 - share) * values[y * width + left] + share * values[y * width + right];
  const fine = rows.flatMap(([top, bottom, share]) =>
    columns.map((column) => (1 - share) * row(top, column) + share * row(bottom, column)),
  );
  return { values: Float32Array.from(fine), width: width * scale, height: height * scale };
}

/** For each place of the finer grid: the pixels before and after it, and how far it is between them. */
function places(n, scale) {
  return Array.from({ length: n * scale }, (_, i) => {
    const place = Math.max(0, Math.min(n - 1, (i + 0.5) / scale - 0.5));
    const before = Math.floor(place);
    return [before, Math.min(n - 1, before + 1), place - before];
  });
}
