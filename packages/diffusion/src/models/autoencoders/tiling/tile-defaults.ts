/** How an autoencoder's frames are cut into tiles where nobody says: the numbers of diffusers' `enable_tiling()`. */

export interface TileDefaults {
  /** Pixels of a latent cell on each side. */
  readonly spatialFactor: number;
  /** Side of the patches that decoded pixels come in; 1 without patches. */
  readonly patchSize: number;
  readonly height: TileSide;
  readonly width: TileSide;
}

/** One side of a tile in pixels, and how far it is to the next tile: pixels, or all but a share of the tile. */
export type TileSide =
  | { readonly tile: number; readonly stride: number }
  | { readonly tile: number; readonly overlap: number };
