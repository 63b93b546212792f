/** Which kernel a convolution runs. Pure: no device inside. */
import { fixedSubgroupSize } from "../../device/device-info.js";
import { defineKernelFamily, type KernelRule } from "../../kernel/kernel-family.js";
import { coreOnly, f16Values, narrowSubgroups } from "../../kernel/requirements.js";
import { chosenProduct, hasRoom, needsProduct } from "../matrix/matrix-rules.js";
import { MATRIX_LOAD, type MatrixProduct, matrixNeeds } from "../matrix/matrix-tile.wgsl.js";
import { CONV_TILES, type ConvTile, type ConvVariant, convMatrixTiles } from "./conv-variant.js";
import { type ConvShaderShape, convKernel } from "./conv3d.wgsl.js";

/** Channels of the output and input, and taps, of the whole convolution; positions of one output frame. */
export interface ConvSize {
  readonly positions: number;
  readonly outChannels: number;
  readonly inChannels: number;
  readonly taps: number;
}

type Rule = KernelRule<ConvShaderShape, ConvSize, ConvVariant>;

const lanes: Rule = {
  id: "lanes",
  precision: "f32",
  ...narrowSubgroups,
  fits: () => undefined,
  variant: (_shape, _size, c) => {
    // 16 channels and two positions per lane: larger blocks spill registers on processors.
    const size = fixedSubgroupSize(c)!;
    return { kind: "lanes", size, blocksM: 2, blocksN: Math.max(1, 16 / size) };
  },
};

/** Subgroup matrices of a component: f16, to which operands are rounded, or f32. */
const matrix = (component: MatrixProduct["component"]): Rule => ({
  id: `matrix-${component}`,
  precision: component,
  requires: (c) =>
    needsProduct(c, component, (product) => matrixNeeds(convMatrixTiles(product).many.at(-1)!)),
  fits: (_, { positions, inChannels }) => {
    if (inChannels % MATRIX_LOAD !== 0)
      return `${inChannels} input channels are no multiple of ${MATRIX_LOAD}`;
    return positions >= 32 ? undefined : "for frames of 32 positions or more";
  },
  variant: (_, { outChannels }, c) => {
    const { narrow, many } = convMatrixTiles(chosenProduct(c, component));
    const only = narrow.find((tile) => outChannels <= tile.tileN && hasRoom(c, matrixNeeds(tile)));
    if (only) return only;
    // The fewest channels for nothing; of equals the first.
    const computed = ({ tileN }: { readonly tileN: number }) => Math.ceil(outChannels / tileN) * tileN;
    return many
      .filter((tile) => hasRoom(c, matrixNeeds(tile)))
      .reduce((best, tile) => (computed(tile) < computed(best) ? tile : best));
  },
});

/** For GPUs without matrices: sums are f32, operands travel as f16 from memory to registers. */
const tileF16: Rule = {
  id: "tile-f16",
  precision: "f16",
  ...f16Values,
  fits: () => undefined,
  variant: (_, { outChannels }) => ({ ...tileFor(outChannels), half: true }),
};

/** Needs nothing but core WebGPU: the reference for every other kernel. */
const tile: Rule = {
  id: "tile",
  precision: "f32",
  ...coreOnly,
  fits: () => undefined,
  variant: (_, { outChannels }) => tileFor(outChannels),
};

function tileFor(channels: number): ConvTile {
  if (channels <= 8) return CONV_TILES.upTo8;
  if (channels <= 32) return CONV_TILES.upTo32;
  const computed = (width: number) => Math.ceil(channels / width) * width;
  return computed(96) < computed(64) ? CONV_TILES.multipleOf96 : CONV_TILES.any;
}

const zeros = { padTime: "zeros", padSpace: "zeros", alignedN: true, bias: "f32" } as const;

export const convFamily = defineKernelFamily({
  name: "conv3d",
  rules: [matrix("f16"), matrix("f32"), lanes, tileF16, tile],
  kernel: convKernel,
  typical: [
    {
      name: "decoder, 384 channels, f16",
      shape: { x: "f16", weight: "f16", out: "f16", history: true, ...zeros, residual: "f16" },
      size: { positions: 60 * 104, outChannels: 384, inChannels: 384, taps: 27 },
    },
    {
      name: "decoder, 96 channels, f32",
      shape: { x: "f32", weight: "f32", out: "f32", history: true, ...zeros, activation: "silu" },
      size: { positions: 480 * 832, outChannels: 96, inChannels: 96, taps: 27 },
    },
    {
      name: "to RGB",
      shape: {
        x: "f32",
        weight: "bf16",
        out: "f32",
        history: false,
        padTime: "replicate",
        padSpace: "replicate",
        alignedN: false,
        bias: "f32",
      },
      size: { positions: 480 * 832, outChannels: 3, inChannels: 96, taps: 27 },
    },
  ],
});
