/** Which part of a picture each tile is. In latent cells, like all sizes here. */

export interface TileSize {
  readonly height: number;
  readonly width: number;
}

/** Tiles begin at whole strides; those at the lower and right edge may be smaller. */
export interface Tile extends TileSize {
  readonly row: number;
  readonly column: number;
  readonly top: number;
  readonly left: number;
}

export interface TileGrid extends TileSize {
  readonly tile: TileSize;
  readonly stride: TileSize;
  /** Row by row, each from left to right: the order in which seams are blended. */
  readonly tiles: readonly Tile[];
}

export function tileGrid(size: TileSize, tile: TileSize, stride: TileSize): TileGrid {
  const rows = spans(size.height, tile.height, stride.height);
  const columns = spans(size.width, tile.width, stride.width);
  const tiles = rows.flatMap(([top, height], row) =>
    columns.map(([left, width], column) => ({ row, column, top, left, height, width })),
  );
  return { height: size.height, width: size.width, tile, stride, tiles };
}

/** Start and length of each tile on one side. As diffusers: one begins wherever the picture has not ended. */
function spans(size: number, tile: number, stride: number): (readonly [number, number])[] {
  return Array.from({ length: Math.ceil(size / stride) }, (_, i) => [
    i * stride,
    Math.min(tile, size - i * stride),
  ]);
}
