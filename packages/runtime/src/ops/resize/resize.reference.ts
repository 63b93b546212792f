/** Resizing by its definition, one output element at a time, in float64. */
type Feature = readonly [number, number, number, number, number];

function forEachElement(
  [B, T, H, W, C]: Feature,
  value: (b: number, t: number, y: number, x: number, c: number) => number,
): number[] {
  const out: number[] = [];
  for (let b = 0; b < B; b++)
    for (let t = 0; t < T; t++)
      for (let y = 0; y < H; y++)
        for (let x = 0; x < W; x++) for (let c = 0; c < C; c++) out.push(value(b, t, y, x, c));
  return out;
}

export function resizeNearestReference(
  values: ArrayLike<number>,
  [B, T, H, W, C]: Feature,
  [T2, H2, W2]: readonly [number, number, number],
  exact: boolean,
): number[] {
  const pick = (i: number, n: number, m: number) =>
    Math.min(n - 1, Math.floor(((exact ? i + 0.5 : i) * n) / m));
  return forEachElement([B, T2, H2, W2, C], (b, t, y, x, c) => {
    const at = ((b * T + pick(t, T, T2)) * H + pick(y, H, H2)) * W + pick(x, W, W2);
    return values[at * C + c]!;
  });
}

export function averagePoolReference(
  values: ArrayLike<number>,
  [B, T, H, W, C]: Feature,
  [ft, fh, fw]: readonly [number, number, number],
): number[] {
  const shape = [B, Math.floor(T / ft), Math.floor(H / fh), Math.floor(W / fw), C] as const;
  return forEachElement(shape, (b, t, y, x, c) => {
    let sum = 0;
    for (let i = 0; i < ft; i++)
      for (let j = 0; j < fh; j++)
        for (let k = 0; k < fw; k++)
          sum += values[(((b * T + t * ft + i) * H + y * fh + j) * W + x * fw + k) * C + c]!;
    return sum / (ft * fh * fw);
  });
}

/** Rounds half to even, as numpy and torch do. */
export function toByteReference(x: number): number {
  const v = Math.min(Math.max(x / 2 + 0.5, 0), 1) * 255;
  const low = Math.floor(v);
  if (v - low !== 0.5) return Math.round(v);
  return low % 2 === 0 ? low : low + 1;
}
