/** Group norm in float64, one group at a time. */
export interface GroupNormReferenceOptions {
  readonly batch: number;
  readonly channels: number;
  readonly groups: number;
  readonly eps: number;
  readonly weight?: ArrayLike<number> | undefined;
  readonly bias?: ArrayLike<number> | undefined;
  readonly scaleMap?: ArrayLike<number> | undefined;
  readonly shiftMap?: ArrayLike<number> | undefined;
}

export function groupNormReference(x: ArrayLike<number>, o: GroupNormReferenceOptions): Float64Array {
  const { batch, channels, groups } = o;
  const width = channels / groups;
  const perBatch = x.length / batch;
  const y = new Float64Array(x.length);
  for (let b = 0; b < batch; b++) {
    for (let g = 0; g < groups; g++) {
      const members: number[] = [];
      for (let i = b * perBatch; i < (b + 1) * perBatch; i++) {
        if (Math.floor((i % channels) / width) === g) members.push(i);
      }
      const mean = members.reduce((sum, i) => sum + x[i]!, 0) / members.length;
      const variance = members.reduce((sum, i) => sum + (x[i]! - mean) ** 2, 0) / members.length;
      for (const i of members) {
        const c = i % channels;
        const v = ((x[i]! - mean) / Math.sqrt(variance + o.eps)) * (o.weight?.[c] ?? 1) + (o.bias?.[c] ?? 0);
        y[i] = v * (o.scaleMap?.[i] ?? 1) + (o.shiftMap?.[i] ?? 0);
      }
    }
  }
  return y;
}
