/** The configuration files of the reference data, for tests of this folder. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { readJson, referenceDirectory } from "@lvsa/runtime/testing";

interface Stated {
  readonly value: unknown;
}

export interface ReferenceComponent {
  readonly class: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Absent for transformers' classes. */
  readonly config_resolved?: Readonly<Record<string, unknown>>;
  readonly parameters: number;
  readonly tensors: number;
  readonly stored_dtype: Stated;
  readonly bytes: Readonly<Record<"bf16" | "f16" | "f32" | "stored", number>>;
  readonly largest_tensor: { readonly name: string; readonly shape: readonly number[] };
}

/** FLOPs are decimal strings. */
export interface ReferenceFlops {
  readonly attention_per_layer: Readonly<Record<"dense" | "lvsa", string>>;
  readonly attention_per_forward: Readonly<Record<"dense" | "lvsa", string>>;
  readonly text_stream_attention_per_forward: string;
  readonly cross_attention_per_forward: string;
  readonly text_refiner_attention_per_forward: string;
  readonly linear_per_forward: string;
  readonly linear_by_rows: Readonly<Record<string, { weights: number; rows: number; flops: string }>>;
  readonly total_per_forward: Readonly<Record<"dense" | "lvsa", string>>;
}

export interface ReferenceHorizon {
  readonly horizon: string;
  readonly token_frames: number;
  readonly latent_frames: number;
  readonly num_frames: number;
  readonly video_tokens: number;
  readonly lvsa: {
    readonly attended_frames_per_query_frame: readonly number[];
    readonly attended_frames_sum: number;
    readonly attended_frames_mean: number;
    readonly mean_density: number;
  };
  readonly flops: ReferenceFlops;
  readonly lvsa_over_dense: { readonly attention: number; readonly forward: number };
}

export interface ReferenceRun {
  readonly label: string;
  readonly height: number;
  readonly width: number;
  readonly num_frames: number;
  readonly latent_channels: number;
  readonly latent_frames: number;
  readonly latent_frames_padded: number;
  readonly latent_height: number;
  readonly latent_width: number;
  readonly latent_shape: readonly number[];
  readonly patch_rows: number;
  readonly patch_columns: number;
  readonly patches_per_frame: number;
  readonly token_frames: number;
  readonly video_tokens: number;
  readonly horizons: readonly ReferenceHorizon[];
}

export interface ReferenceModel {
  readonly model: string;
  readonly repository: string;
  readonly family: string;
  readonly task: string;
  readonly model_index: { readonly value: Readonly<Record<string, unknown>> };
  readonly components: Readonly<Record<string, ReferenceComponent>>;
  readonly bytes_total: Readonly<Record<"bf16" | "f16" | "f32" | "stored", number>>;
  readonly pipeline_defaults: Readonly<Record<string, Stated>>;
  readonly recommended: Readonly<Record<string, Stated>>;
  readonly text: { readonly rows: Readonly<Record<string, number>> };
  readonly attention: {
    readonly kind: string;
    readonly heads: number;
    readonly kv_heads: number;
    readonly head_dim: number;
    readonly layers: number;
    readonly joint_text_tokens: number;
    readonly cross_tokens: Readonly<Record<string, number>>;
    readonly refiner_tokens?: readonly number[];
  };
  readonly geometry: Readonly<Record<string, unknown>>;
  readonly runs: readonly ReferenceRun[];
}

/** All files; an empty list, said once, where the reference folder has none. */
export function referenceModels(): ReferenceModel[] {
  const folder = join(referenceDirectory(), "configs");
  if (!existsSync(folder)) {
    console.warn(`no reference configurations: ${folder} does not exist`);
    return [];
  }
  const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
  return files.sort().map((file) => readJson<ReferenceModel>(join(folder, file)));
}
