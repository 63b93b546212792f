/** Splits the workgroups of one attention call into dispatches of bounded work. Workgroups do not depend on each other, so the result is the same. */

export interface Chunk {
  readonly first: number;
  readonly count: number;
}

/**
 * @param flopsOfTile work of each query tile of one head
 * @param repeats heads times batch entries: the tiles repeat, tile index fastest
 * @param limit work of one chunk; a single tile may exceed it
 */
export function chunkJobs(flopsOfTile: Float64Array, repeats: number, limit: number): Chunk[] {
  const tiles = flopsOfTile.length;
  const perHead = flopsOfTile.reduce((sum, flops) => sum + flops, 0);
  const chunks: Chunk[] = [];
  if (tiles === 0 || repeats === 0) return chunks;
  if (perHead <= limit) {
    const headsPerChunk = perHead === 0 ? repeats : Math.max(1, Math.floor(limit / perHead));
    for (let head = 0; head < repeats; head += headsPerChunk) {
      chunks.push({ first: head * tiles, count: Math.min(headsPerChunk, repeats - head) * tiles });
    }
    return chunks;
  }
  for (let head = 0; head < repeats; head++) {
    let start = 0;
    let sum = 0;
    for (let tile = 0; tile < tiles; tile++) {
      if (tile > start && sum + flopsOfTile[tile]! > limit) {
        chunks.push({ first: head * tiles + start, count: tile - start });
        start = tile;
        sum = 0;
      }
      sum += flopsOfTile[tile]!;
    }
    chunks.push({ first: head * tiles + start, count: tiles - start });
  }
  return chunks;
}
