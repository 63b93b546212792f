/**
 * Step 1 of docs/add-a-model.md: one attention layer in the pieces that LVSA puts together again. Ripple is made up:
 * four query heads share two key heads, Q and K are normalised per head, positions rotate in halves.
 */
import type {
  AttendedStreams,
  AttentionCall,
  AttentionModule,
  AttentionResult,
  BackendRunner,
  Projected,
  RotaryTables,
} from "@lvsa/core";
import { TorchCpuGenerator } from "@lvsa/diffusion";
import { type Device, linear, rmsNorm, rotary, type Tensor } from "@lvsa/runtime";

export interface RippleConfig {
  readonly num_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly attention_head_dim: number;
  readonly patch_size: readonly [number, number, number];
  /** Video frames the model was trained on. */
  readonly sample_frames: number;
}

export class RippleAttention implements AttentionModule {
  readonly name: string;
  readonly role = "self";
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly scale: number;
  readonly causal = false;
  readonly #weights: Readonly<Record<"query" | "key" | "value" | "out", Tensor>>;

  constructor(
    readonly device: Device,
    readonly index: number,
    config: RippleConfig,
  ) {
    this.name = `blocks.${index}.attn`;
    this.heads = config.num_attention_heads;
    this.keyValueHeads = config.num_key_value_heads;
    this.headDim = config.attention_head_dim;
    this.scale = this.headDim ** -0.5;
    const width = this.heads * this.headDim;
    const narrow = this.keyValueHeads * this.headDim;
    const noise = new TorchCpuGenerator(index);
    // `[out, in]`, as checkpoints store them; pinned, because weights outlive scopes.
    const random = (rows: number) => {
      const values = noise.randn([rows * width]).map((v) => v * width ** -0.5);
      return device.upload(values, [rows, width], "f32", { pinned: true });
    };
    this.#weights = { query: random(width), key: random(narrow), value: random(narrow), out: random(width) };
  }

  project({ device, hiddenStates }: AttentionCall): Projected {
    const [batch, tokens] = hiddenStates.shape;
    const split = (weight: Tensor, heads: number) =>
      linear(device, hiddenStates, weight).reshape([batch!, tokens!, heads, this.headDim]);
    const { query, key, value } = this.#weights;
    const normalised = { eps: 1e-6, inPlace: true } as const;
    return {
      query: rmsNorm(device, split(query, this.heads), normalised),
      key: rmsNorm(device, split(key, this.keyValueHeads), normalised),
      value: split(value, this.keyValueHeads),
    };
  }

  rotate({ query, key }: Projected, tables: RotaryTables | undefined): void {
    if (!tables) return;
    for (const x of [query, key]) rotary(this.device, x, tables.cos, tables.sin, { style: "half" });
  }

  attend(call: AttentionCall, streams: Projected, run: BackendRunner): AttendedStreams {
    const { device, geometry, step } = call;
    const { role, scale, causal } = this;
    const optional = { ...(geometry ? { geometry } : {}), ...(step ? { step } : {}) };
    return { hidden: run({ device, module: this, role, scale, causal, ...streams, ...optional }) };
  }

  output({ device, epilogue }: AttentionCall, { hidden }: AttendedStreams): AttentionResult {
    const flat = hidden.reshape([hidden.dim(0), hidden.dim(1), this.heads * this.headDim]);
    return { hiddenStates: linear(device, flat, this.#weights.out, epilogue) };
  }

  dispose(): void {
    for (const weight of Object.values(this.#weights)) weight.dispose();
  }
}
