/**
 * GPU memory of a generation, item by item, estimated before it runs: which tensors are alive in each phase, not
 * what an allocator makes of them. Source of the tensor lists: the forward passes in `models/`.
 */
import { type DecoderLevel, type DecoderShape, decoderShape } from "./decoder-levels.js";
import type { ModelRole } from "./model-class.js";
import { getModelClass } from "./model-classes.js";
import type { ComponentDescription, ModelDescription } from "./model-description.js";
import type { ModelShape } from "./model-shape.js";
import { elementCount, type ParameterTensor } from "./parameter-list.js";
import type { VideoGrid } from "./video-grid.js";
import { BYTES_PER_ELEMENT, type StoredDType } from "./weight-summary.js";

/** Storage type of activations between two additions to the residual stream. */
export type Precision = "f32" | "f16";

export interface MemoryItem {
  readonly name: string;
  readonly bytes: number;
}

export interface MemoryPhase {
  readonly name: "text encoding" | "denoising" | "decoding";
  readonly items: readonly MemoryItem[];
  readonly bytes: number;
}

export interface MemoryEstimate {
  readonly phases: readonly MemoryPhase[];
  /** Of the phase that needs most. */
  readonly peakBytes: number;
  readonly peakPhase: MemoryPhase["name"];
  /** Activations of one block of the transformer, the largest working set of denoising. */
  readonly activationPeakBytes: number;
  /** Bytes on the GPU per component: all of it, or one layer where it is streamed. */
  readonly weightBytes: Readonly<Record<string, number>>;
}

export interface MemoryInput {
  readonly model: ModelDescription;
  readonly shape: ModelShape;
  readonly grid: VideoGrid;
  /** Videos per forward pass. */
  readonly batch: number;
  readonly precision: Precision;
  /** Attended frames per query frame; undefined where attention is dense. */
  readonly attendedFrames: readonly number[] | undefined;
}

/** Vectors and modulation tables, up to this many rows, are widened to f32 when they are loaded. */
const WIDENED_ROWS = 8;
/** Rows that go through a feed-forward layer at a time. */
const FEED_FORWARD_ROWS = 8192;
/** The same in a language model's layer, where norm and feed-forward go slice by slice, in place. */
const GATED_FEED_FORWARD_ROWS = 4096;
/** Tensors of a layer's width that are alive at once in a text encoder: residual, norm, Q, K, V, output. */
const ENCODER_TENSORS = 6;
/** Frames of history that a causal convolution of three taps keeps. */
const HISTORY_FRAMES = 2;
/** Tensors inside of a residual block beside its input: two at a time of norms and convolutions, and the result. */
const RESNET_TENSORS = 3;
/** The same of one frame where blocks go frame by frame: norm, its two maps, shortcut and result. */
const FRAME_TENSORS = 5;

/**
 * Estimates one generation of a fresh pipeline, which loads what it needs when it first needs it: text encoders layer
 * by layer and before everything else, one transformer at a time, and the autoencoder in its place at the end.
 */
export function estimateMemory(input: MemoryInput): MemoryEstimate {
  const { model, shape, grid } = input;
  const withRole = (role: ModelRole) =>
    Object.entries(model.components).filter(([, one]) => getModelClass(one.className).role === role);
  const encoders = [...withRole("text encoder"), ...withRole("image encoder")];
  const transformers = withRole("transformer");

  const weightBytes: Record<string, number> = {};
  for (const [name, component] of [...transformers, ...withRole("autoencoder")]) {
    weightBytes[name] = residentBytes(component);
  }
  for (const [name, component] of encoders) weightBytes[name] = largestLayer(component);

  const [transformerName] = largest(
    transformers.map(([name]) => [name, weightBytes[name]!] as const),
    ([, n]) => n,
  );
  const transformer = {
    name:
      transformers.length > 1
        ? `${transformerName} weights (one transformer at a time)`
        : "transformer weights",
    bytes: weightBytes[transformerName]!,
  };
  const sizes = encoders.map(([name]) => encoderItems(name, weightBytes[name]!, shape));
  const block = blockActivations(input);
  const phases = [
    phase("text encoding", sizes.length > 0 ? largest(sizes, sumBytes) : understandingItems(input)),
    phase("denoising", [
      transformer,
      ...block,
      { name: "rotary tables", bytes: grid.videoTokens * shape.attention.headDim * 4 * rotaryTables(input) },
      ...promptItems(input),
      { name: "latents in and out", bytes: latentBytes(input) },
      ...(input.attendedFrames
        ? [{ name: "LVSA index buffers", bytes: indexBytes(input.attendedFrames) }]
        : []),
    ]),
    phase("decoding", [{ name: "vae weights", bytes: weightBytes.vae ?? 0 }, ...decoderItems(input)]),
  ] as const;
  const peak = largest(phases, ({ bytes }) => bytes);

  return {
    phases,
    peakBytes: peak.bytes,
    peakPhase: peak.name,
    activationPeakBytes: sumBytes(block),
    weightBytes,
  };
}

function phase(name: MemoryPhase["name"], items: readonly MemoryItem[]): MemoryPhase {
  return { name, items, bytes: sumBytes(items) };
}

function sumBytes(items: readonly MemoryItem[]): number {
  return items.reduce((total, item) => total + item.bytes, 0);
}

function largest<Item>(items: readonly Item[], sizeOf: (item: Item) => number): Item {
  return items.reduce((most, item) => (sizeOf(item) > sizeOf(most) ? item : most));
}

function residentBytes(component: ComponentDescription): number {
  const modelClass = getModelClass(component.className);
  const tensors = modelClass.parameters(component.config).filter(({ name }) => modelClass.isResident(name));
  return tensors.reduce((total, tensor) => total + tensorBytes(tensor, component.storedDType), 0);
}

function tensorBytes({ shape }: ParameterTensor, stored: StoredDType): number {
  const elements = elementCount(shape);
  const widened = elements <= WIDENED_ROWS * Math.max(1, ...shape);
  return elements * (widened ? 4 : BYTES_PER_ELEMENT[stored]);
}

/**
 * Bytes of the largest layer of a model that is streamed, without parameters that are resident. Of embedding tables
 * only the rows in use are read.
 */
function largestLayer(component: ComponentDescription, isStreamed = (_name: string) => true): number {
  const modelClass = getModelClass(component.className);
  const layers = new Map<string, number>();
  for (const tensor of modelClass.parameters(component.config)) {
    const layer = modelClass.layerPattern?.exec(tensor.name)?.[0];
    if (layer !== undefined && isStreamed(tensor.name)) {
      layers.set(layer, (layers.get(layer) ?? 0) + tensorBytes(tensor, component.storedDType));
    }
  }
  return Math.max(0, ...layers.values());
}

function encoderItems(name: string, layerBytes: number, shape: ModelShape): MemoryItem[] {
  const config = shape.configs[name] ?? {};
  const width = Number(config.d_model ?? config.hidden_size ?? 0);
  const inner = Number(config.d_ff ?? config.intermediate_size ?? 0);
  const rows = shape.rows.prompt ?? shape.rows.text ?? 0;
  return [
    { name: `${name} weights (one layer at a time)`, bytes: layerBytes },
    { name: `${name} activations (f32)`, bytes: 4 * rows * (ENCODER_TENSORS * width + inner) },
  ];
}

function promptCount({ model }: MemoryInput): number {
  return model.defaults.guidanceScale > 1 ? 2 : 1;
}

/** Where a prompt's own length shifts the video's positions, each prompt has tables. */
function rotaryTables(input: MemoryInput): number {
  return input.shape.attention.kind === "two streams" ? promptCount(input) : 1;
}

/** Embeddings of both prompts, f32; of two streams the text's keys and values in every layer. */
function promptItems(input: MemoryInput): MemoryItem[] {
  const { shape, precision } = input;
  const { attention } = shape;
  const transformer = shape.configs.transformer!;
  const rows = shape.rows.prompt ?? shape.rows.text ?? 0;
  if (attention.kind === "two streams") {
    const width = 2 * attention.layers * attention.kvHeads * attention.headDim;
    const bytes = (precision === "f16" ? 2 : 4) * rows * width * promptCount(input);
    return [{ name: `keys and values of the prompts (${precision})`, bytes }];
  }
  const width = Number(transformer.text_dim ?? transformer.text_embed_dim ?? 0);
  return [{ name: "prompt embeddings", bytes: 4 * rows * width * promptCount(input) }];
}

/** Two streams: the one that reads the prompt goes through the GPU layer by layer, like a text encoder. */
function understandingItems(input: MemoryInput): MemoryItem[] {
  const { transformer } = input.model.components;
  if (input.shape.attention.kind !== "two streams" || !transformer) return [];
  const { isResident } = getModelClass(transformer.className);
  const layer = largestLayer(transformer, (name) => !isResident(name));
  const [, activations] = encoderItems("transformer", layer, input.shape);
  return [
    { name: "transformer weights of the text stream (one layer at a time)", bytes: layer },
    { ...activations!, name: "text stream activations (f32)" },
    ...promptItems(input),
  ];
}

/** What the transformer reads and predicts, f32; everything between the steps is in main memory. */
function latentBytes({ shape, grid, batch }: MemoryInput): number {
  const { latentChannels, transformerInChannels, patch, padsPatches } = shape.geometry;
  // Cosmos counts the channels of a whole patch.
  const channels = padsPatches ? transformerInChannels / patch ** 2 : transformerInChannels;
  return 4 * batch * (elementCount(grid.latentShape) / latentChannels) * (channels + latentChannels);
}

/**
 * The wider of a block's two widest points. End of self attention: the residual stream before and after it, the norm, Q,
 * K, V and the attention output. Feed-forward: the residual stream before the block, before this part and after it, the
 * norm, and a slice of the wide hidden tensor.
 */
function blockActivations({ shape, grid, batch, precision }: MemoryInput): MemoryItem[] {
  const { attention, configs } = shape;
  const bytes = precision === "f16" ? 2 : 4;
  const transformer = configs.transformer!;
  const heads = attention.heads * attention.headDim;
  const width = Number(transformer.hidden_size ?? heads);
  const keys = attention.kvHeads * attention.headDim;
  // Of two streams only the video's runs here.
  const text = attention.kind === "two streams" ? 0 : attention.jointTextTokens;
  const tokens = batch * (grid.videoTokens + text);
  const inner = Number(transformer.ffn_dim ?? transformer.intermediate_size ?? 4 * width);
  const conditions = Object.values(attention.crossTokens).reduce((sum, count) => sum + count, 0);
  const hasCross = conditions > 0;
  const attended: MemoryItem[] = [
    { name: "residual stream (f32)", bytes: 4 * tokens * width * 2 },
    {
      name: `norm, Q, K, V and attention output (${precision})`,
      bytes: bytes * tokens * (width + 2 * heads + 2 * keys),
    },
  ];
  const fed: MemoryItem[] = [
    { name: "residual stream (f32)", bytes: 4 * tokens * width * 3 },
    { name: `norm (${precision})`, bytes: bytes * tokens * width },
    {
      name: `feed-forward slice (${precision})`,
      bytes: bytes * Math.min(tokens, FEED_FORWARD_ROWS) * inner,
    },
  ];
  const sliced = bytes * Math.min(tokens, GATED_FEED_FORWARD_ROWS);
  const fedInPlace: MemoryItem[] = [
    { name: "residual stream (f32)", bytes: 4 * tokens * width * 2 },
    {
      name: `norm and feed-forward slice (${precision})`,
      // A gate has a hidden tensor of its own.
      bytes: sliced * (width + inner * (transformer.hidden_act === "silu" ? 2 : 1)),
    },
  ];
  return [
    ...largest([attended, attention.kind === "two streams" ? fedInPlace : fed], sumBytes),
    ...(hasCross
      ? [{ name: `projected conditions (${precision})`, bytes: bytes * batch * conditions * width }]
      : []),
  ];
}

/** Index buffers: token ranges (start, end) and a row pointer per query frame. */
function indexBytes(attendedFrames: readonly number[]): number {
  const ranges = attendedFrames.reduce((sum, count) => sum + count, 0);
  return 4 * (2 * ranges + attendedFrames.length + 1);
}

/** The decoder computes in f32 whatever the precision is. Its widest point is a residual block or an upsampling. */
function decoderItems({ shape, model, grid }: MemoryInput): MemoryItem[] {
  const { className } = model.components.vae!;
  const decoder = decoderShape(className, shape.configs.vae!, grid.latentFrames);
  if (decoder === undefined) return [];
  const cells = grid.latentHeight * grid.latentWidth;
  const atOnce = Math.min(grid.latentFrames, decoder.latentFramesAtOnce);
  let widest = 0;
  let history = 0;
  for (const [i, { spatial, temporal, input, output, resnets }] of decoder.levels.entries()) {
    const area = 4 * cells * spatial * spatial;
    const frame = area * atOnce * temporal;
    const next = decoder.levels[i + 1];
    const grown = next ? ((next.spatial / spatial) ** 2 * next.temporal) / temporal : 0;
    const doubled = next && next.temporal > temporal ? next.temporal / temporal : 0;
    const inside = Math.max(
      RESNET_TENSORS * Math.max(input, output),
      2 * doubled * output,
      (doubled + grown) * output,
      grown * (output + (next?.input ?? 0)),
    );
    widest = Math.max(
      widest,
      decoder.framesApart ? area * apart(decoder, i) : frame * (input + output + inside),
    );
    // Two convolutions per block keep their last input frames.
    history += HISTORY_FRAMES * area * (input + (2 * resnets - 1) * output);
  }
  return [
    {
      name: `decoder activations, ${atOnce} latent frame${atOnce > 1 ? "s" : ""} at a time (f32)`,
      bytes: widest,
    },
    { name: "causal cache of the decoder (f32)", bytes: history },
    { name: "frames on their way out", bytes: 4 * 3 * grid.height * grid.width * shape.geometry.vaeTemporal },
  ];
}

/**
 * Channels times frames in a level whose blocks go frame by frame: input and middle (or middle and output) of the whole
 * chunk, and the tensors of one frame. A frame that was doubled in time is there once until a block goes over it.
 */
function apart({ levels, latentFramesAtOnce }: DecoderShape, index: number): number {
  const { input, output } = levels[index]!;
  // Of an odd number of frames the first is never doubled.
  const single = latentFramesAtOnce % 2;
  const frames = ({ temporal }: DecoderLevel) => (latentFramesAtOnce - single) * temporal + single;
  const made = frames(levels[index]!);
  const distinct = frames(levels[Math.max(index - 1, 0)]!);
  return Math.max(distinct * input, made * output) + made * output + FRAME_TENSORS * Math.max(input, output);
}
