/** The middle of every transformer's forward pass: one block after the other, with bounded work in flight. */
import type {
  AttentionCall,
  RotaryTables,
  SequenceParallel,
  SequenceShard,
  StepInfo,
  VideoGeometry,
} from "@lvsa/core";
import { type Device, disposeTensors, type ScopeResult, Tensor, throwIfAborted } from "@lvsa/runtime";
import type { BlockWeights } from "./block-weights.js";

/** What a caller may do with a forward pass while it runs. */
export interface PassControl {
  /** Stops before the next block, with an AbortError. */
  readonly signal?: AbortSignal | undefined;
  /** Hears of blocks that were handed to the GPU; at most about 250 ms of them are not done yet. */
  readonly onBlock?: ((done: number, count: number) => void) | undefined;
  /** What the blocks changed in earlier steps, where that may stand in for running them. Not together with `sequence`. */
  readonly blockCache?: BlockCache | undefined;
  /** Ranks that share the video's tokens: each runs the blocks on its own frames, and has the whole result. */
  readonly sequence?: SequenceParallel | undefined;
}

/** The video tokens of a pass: all of the clip, or this rank's. */
export interface VideoPlace {
  /** Of the whole clip, like the tables. */
  readonly geometry: VideoGeometry;
  readonly tables: RotaryTables | undefined;
  readonly step: StepInfo | undefined;
  readonly shard?: SequenceShard;
}

/** @throws UsageError `TOO_FEW_FRAMES` */
export function videoPlace(
  { sequence, step }: PassControl & { readonly step?: StepInfo | undefined },
  geometry: VideoGeometry,
  tables: RotaryTables | undefined,
): VideoPlace {
  return { geometry, tables, step, ...(sequence ? { shard: sequence.shard(geometry) } : {}) };
}

/** What a layer's call says of them. Views of tables are of the scope at hand. */
export function placeOfCall({
  geometry,
  tables,
  step,
  shard,
}: VideoPlace): Pick<AttentionCall, "rotary" | "geometry" | "shard" | "step"> {
  const when = step ? { step } : {};
  if (!shard) return { ...when, geometry, ...(tables ? { rotary: tables } : {}) };
  return { ...when, shard, ...(tables ? { rotary: shard.ownTables(tables) } : {}) };
}

/** All ranks' rows of a result, where ranks share the clip; else the result itself. */
export function allRows(device: Device, rows: Tensor, { shard }: VideoPlace): Tensor {
  return shard ? shard.whole(device, rows) : rows;
}

/** Embeddings of the timestep that a model computes for its blocks. */
export interface TimeEmbeddings {
  /** Before its activation. */
  readonly temb: Tensor;
  /** What modulates the blocks, of any shape. */
  readonly timeProj: Tensor;
}

/** Sees the main stream of a pass. Tensors that it is given stay the caller's; those that it returns become so. */
export interface BlockCache {
  /** Blocks that always run. */
  readonly lead: number;
  /** Hears the stream before the first block. */
  start(stream: Tensor): void;
  /** The stream as the blocks after `lead` would leave it; undefined where they have to run. */
  reuse(stream: Tensor, embeddings: TimeEmbeddings | undefined): Promise<Tensor | undefined>;
  /** Hears the stream after blocks that ran. */
  remember(stream: Tensor): void | Promise<void>;
  /** Frees what a pass that did not come to its end left. */
  abandon(): void;
}

/**
 * Records all blocks on `first`, which it takes over, each when its weights are there, and `finish` on the last result. Of a
 * shard blocks and `finish` see this rank's rows of the main stream.
 * Each block runs in a scope and may hand tensors of its input on. Returns what `finish` made; nothing else is left, also after an error, but what
 * the block cache keeps.
 * @throws AbortError, and errors of earlier work
 */
export async function runBlocks<State extends ScopeResult>(
  device: Device,
  weights: BlockWeights,
  first: State,
  control: PassControl,
  block: (state: State, index: number) => State,
  finish: (state: State) => Tensor,
  {
    embeddings,
    shard,
  }: { readonly embeddings?: TimeEmbeddings; readonly shard?: SequenceShard | undefined } = {},
): Promise<Tensor> {
  const { blockCache: cache } = control;
  const { count } = weights;
  let state = first;
  try {
    if (shard) {
      state = withMainStream(first, shard.own(device, mainStream(first)));
      disposeTensors(first, state);
    }
    cache?.start(mainStream(state));
    let isReused = false;
    for (let index = 0; index < count; index++) {
      throwIfAborted(control.signal, "the forward pass");
      if (cache && index === cache.lead) {
        const reused = await cache.reuse(mainStream(state), embeddings);
        if (reused) {
          const left = state;
          state = withMainStream(left, reused);
          disposeTensors(left, state);
          isReused = true;
          control.onBlock?.(count, count);
          break;
        }
      }
      await weights.enter(index);
      const previous = state;
      state = device.scope(() => block(previous, index));
      disposeTensors(previous, state);
      await device.pace();
      control.onBlock?.(index + 1, count);
    }
    if (!isReused) await cache?.remember(mainStream(state));
    return device.scope(() => finish(state));
  } finally {
    cache?.abandon();
    disposeTensors(state);
  }
}

/** What the last layers read: of several streams the one named `hidden`. */
function mainStream(state: ScopeResult): Tensor {
  return state instanceof Tensor ? state : (state as { readonly hidden: Tensor }).hidden;
}

function withMainStream<State extends ScopeResult>(state: State, hidden: Tensor): State {
  return (state instanceof Tensor ? hidden : { ...(state as object), hidden }) as State;
}
