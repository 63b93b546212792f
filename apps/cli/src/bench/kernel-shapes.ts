/** The shapes that `lvsa bench kernels --shape` takes, as text. */
import { UsageError } from "../exit-codes.js";

export type KernelShape =
  | { readonly kind: "linear"; readonly M: number; readonly N: number; readonly K: number }
  | {
      readonly kind: "attention";
      readonly frames: number;
      readonly patchesPerFrame: number;
      readonly heads: number;
      readonly headDim: number;
    }
  | {
      /** 3x3x3, with two frames before the first. */
      readonly kind: "conv";
      readonly frames: number;
      readonly height: number;
      readonly width: number;
      readonly inChannels: number;
      readonly outChannels: number;
    };

export const SHAPE_HELP =
  "MxNxK of a linear layer, attention:FRAMESxTOKENSxHEADSxDIM (tokens of one frame), or conv:FRAMESxHEIGHTxWIDTHxINxOUT (3x3x3)";

/** @throws UsageError */
export function parseKernelShape(text: string): KernelShape {
  const [, name, sizes] = /^(?:([a-z]+):)?(\d+(?:x\d+)+)$/.exec(text.trim()) ?? [];
  const n = (sizes ?? "").split("x").map(Number);
  const wrong = new UsageError(`--shape: "${text}" is no shape`, `Give ${SHAPE_HELP}.`);
  if (n.some((size) => !(size >= 1 && size <= 2 ** 24))) throw wrong;
  if ((name === undefined || name === "linear") && n.length === 3) {
    const [M, N, K] = n as [number, number, number];
    return { kind: "linear", M, N, K };
  }
  if (name === "attention" && n.length === 4) {
    const [frames, patchesPerFrame, heads, headDim] = n as [number, number, number, number];
    if (headDim > 256)
      throw new UsageError(`--shape: heads of ${headDim} channels; at most 256`, "Use fewer.");
    return { kind: "attention", frames, patchesPerFrame, heads, headDim };
  }
  if (name === "conv" && n.length === 5) {
    const [frames, height, width, inChannels, outChannels] = n as [number, number, number, number, number];
    return { kind: "conv", frames, height, width, inChannels, outChannels };
  }
  throw wrong;
}
