/** Convolution in float64, by its definition: one output value at a time. */
export interface ConvReferenceInput {
  /** `[B, T, H, W, I]` */
  readonly x: ArrayLike<number>;
  readonly shape: readonly [number, number, number, number, number];
  /** `[O, I, kt, kh, kw]` */
  readonly weight: ArrayLike<number>;
  readonly weightShape: readonly [number, number, number, number, number];
  readonly bias?: ArrayLike<number> | undefined;
  readonly stride: readonly [number, number, number];
  readonly time: readonly [number, number];
  readonly height: readonly [number, number];
  readonly width: readonly [number, number];
  readonly padTime: "zeros" | "replicate";
  readonly padSpace: "zeros" | "replicate";
  /** `[B, k, H, W, I]` */
  readonly history?: ArrayLike<number> | undefined;
  readonly historyFrames?: number;
}

export function conv3dReference(input: ConvReferenceInput): { shape: number[]; values: Float64Array } {
  const [B, T, H, W, I] = input.shape;
  const [O, , kt, kh, kw] = input.weightShape;
  const [st, sh, sw] = input.stride;
  const cached = input.historyFrames ?? 0;
  const front = Math.max(input.time[0], cached);
  const size = (n: number, k: number, s: number) => Math.floor((n - k) / s) + 1;
  const T2 = size(T + front + input.time[1], kt, st);
  const H2 = size(H + input.height[0] + input.height[1], kh, sh);
  const W2 = size(W + input.width[0] + input.width[1], kw, sw);

  const pixel = (b: number, t: number, y: number, x: number, i: number): number => {
    if (input.padTime === "zeros" && (t < -cached || t >= T)) return 0;
    if (input.padSpace === "zeros" && (y < 0 || y >= H || x < 0 || x >= W)) return 0;
    const tt = Math.min(Math.max(t, -cached), T - 1);
    const yy = Math.min(Math.max(y, 0), H - 1);
    const xx = Math.min(Math.max(x, 0), W - 1);
    if (tt < 0) return input.history![(((b * cached + tt + cached) * H + yy) * W + xx) * I + i]!;
    return input.x[(((b * T + tt) * H + yy) * W + xx) * I + i]!;
  };

  const values = new Float64Array(B * T2 * H2 * W2 * O);
  let at = 0;
  for (let b = 0; b < B; b++)
    for (let t = 0; t < T2; t++)
      for (let y = 0; y < H2; y++)
        for (let x = 0; x < W2; x++)
          for (let o = 0; o < O; o++) {
            let sum = input.bias?.[o] ?? 0;
            for (let i = 0; i < I; i++)
              for (let a = 0; a < kt; a++)
                for (let c = 0; c < kh; c++)
                  for (let d = 0; d < kw; d++)
                    sum +=
                      input.weight[(((o * I + i) * kt + a) * kh + c) * kw + d]! *
                      pixel(
                        b,
                        t * st + a - front,
                        y * sh + c - input.height[0],
                        x * sw + d - input.width[0],
                        i,
                      );
            values[at++] = sum;
          }
  return { shape: [B, T2, H2, W2, O], values };
}
