/** RMS, L2 and layer norm in float64, one row at a time. */
export interface RowNormReferenceOptions {
  readonly channels: number;
  readonly eps: number;
  readonly weight?: ArrayLike<number> | undefined;
  readonly bias?: ArrayLike<number> | undefined;
  /** `[G, C]` */
  readonly scale?: ArrayLike<number> | undefined;
  readonly shift?: ArrayLike<number> | undefined;
}

export function rowNormReference(
  kind: "rms" | "l2" | "layer",
  x: ArrayLike<number>,
  options: RowNormReferenceOptions,
): Float64Array {
  const { channels, eps, weight, bias, scale, shift } = options;
  const rows = x.length / channels;
  const groups = (scale ?? shift)?.length ?? channels;
  const rowsPerGroup = rows / (groups / channels);
  const y = new Float64Array(x.length);
  for (let r = 0; r < rows; r++) {
    const row = Array.from({ length: channels }, (_, c) => x[r * channels + c]!);
    const mean = kind === "layer" ? row.reduce((a, b) => a + b, 0) / channels : 0;
    const squares = row.reduce((sum, v) => sum + (v - mean) ** 2, 0);
    const scaling =
      kind === "l2"
        ? Math.sqrt(channels) / Math.max(Math.sqrt(squares), eps)
        : 1 / Math.sqrt(squares / channels + eps);
    const group = Math.floor(r / rowsPerGroup);
    row.forEach((v, c) => {
      let out = (v - mean) * scaling;
      out = out * (weight?.[c] ?? 1) + (bias?.[c] ?? 0);
      out = out * (1 + (scale?.[group * channels + c] ?? 0)) + (shift?.[group * channels + c] ?? 0);
      y[r * channels + c] = out;
    });
  }
  return y;
}
