/** What callers may change in a forward pass, or hear of it. */
import type { Tensor } from "@lvsa/runtime";

/** Hears of named intermediate results while a forward pass is recorded; copy what you want to keep. */
export type Tap = (name: string, tensor: Tensor) => void;

/** Changes the rotary frequencies of the time axis (RIFLEx); gets and returns one frequency per channel pair. */
export type TemporalFrequencies = (frequencies: Float64Array) => Float64Array;
