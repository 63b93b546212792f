/** The kernels that `conv3d` can run, and which one it does. */
import type { DeviceInfo, KernelTier } from "../../device/device-info.js";

/**
 * Workgroup tiles: `tileM` positions by `tileN` channels by threads that own `threadM x threadN` each, `stepK` input
 * channels at a time. Sizes are multiples of 4; a tile side times stepK takes at most 16 values per thread.
 */
export interface ConvTile {
  readonly kind: "tile";
  readonly tileM: number;
  readonly tileN: number;
  readonly threadM: number;
  readonly threadN: number;
  readonly stepK: number;
}

/** One subgroup of `size` lanes computes `size * blocksM` positions by `size * blocksN` channels. Needs `subgroups`. */
export interface ConvSubgroup {
  readonly kind: "subgroups";
  readonly size: number;
  readonly blocksM: number;
  readonly blocksN: number;
}

export type ConvVariant = ConvTile | ConvSubgroup;

/** 16 KiB of workgroup memory and 256 threads: any device. */
export const SMALL_CONV_TILE: ConvTile = {
  kind: "tile",
  tileM: 64,
  tileN: 64,
  threadM: 4,
  threadN: 4,
  stepK: 32,
};
export const LARGE_CONV_TILE: ConvTile = {
  kind: "tile",
  tileM: 128,
  tileN: 128,
  threadM: 8,
  threadN: 8,
  stepK: 16,
};

export function convVariantKey(v: ConvVariant): string {
  return v.kind === "tile"
    ? `tile ${v.tileM}x${v.tileN} ${v.threadM}x${v.threadN} k${v.stepK}`
    : `subgroups ${v.size} ${v.blocksM}x${v.blocksN}`;
}

/** Positions and channels that one workgroup computes. */
export function convTileSize(v: ConvVariant): { readonly rows: number; readonly columns: number } {
  return v.kind === "tile"
    ? { rows: v.tileM, columns: v.tileN }
    : { rows: v.size * v.blocksM, columns: v.size * v.blocksN };
}

/** `positions`: output positions over all frames of one dispatch. */
export function chooseConvVariant(
  size: { readonly positions: number; readonly channels: number },
  tier: KernelTier,
  info: DeviceInfo,
): ConvVariant {
  const lanes = tier === "subgroups" ? info.subgroupSize : undefined;
  if (lanes !== undefined) {
    // 16 channels and two positions per lane: larger blocks spill registers on processors.
    return { kind: "subgroups", size: lanes, blocksM: lanes <= 16 ? 2 : 1, blocksN: Math.max(1, 16 / lanes) };
  }
  const large = size.channels >= 96 && size.positions * size.channels >= 128 * 128 * 128;
  return large ? LARGE_CONV_TILE : SMALL_CONV_TILE;
}
