/** What callers may hear of a forward pass. */
import type { Tensor } from "@lvsa/runtime";

/** Hears of named intermediate results while a forward pass is recorded; copy what you want to keep. */
export type Tap = (name: string, tensor: Tensor) => void;
