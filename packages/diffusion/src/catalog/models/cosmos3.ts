/** Published Cosmos 3 checkpoints in the diffusers format. */
import type { ComponentDescription, KnownModel } from "../model-description.js";
import { wan22Autoencoder } from "./wan.js";

const ORGANIZATION = "nvidia";
/** Cosmos makes actions and sound too; video does not use those parts. */
const ACTIONS = { action_dim: 64, action_gen: true };
const QWEN3_STYLE = {
  ...ACTIONS,
  rope_scaling: { mrope_interleaved: true, mrope_section: [24, 20, 20], rope_type: "default" },
  sound_dim: 64,
  sound_gen: true,
};

const transformer = (config: ComponentDescription["config"]): ComponentDescription => ({
  className: "Cosmos3OmniTransformer",
  config,
  storedDType: "bf16",
});

const COMMON = { family: "cosmos3", task: "text-to-video", pipelineClass: "Cosmos3OmniPipeline" } as const;

export const cosmos3Models: readonly KnownModel[] = [
  {
    ...COMMON,
    name: "cosmos3-nano",
    repository: `${ORGANIZATION}/Cosmos3-Nano`,
    components: { transformer: transformer(QWEN3_STYLE), vae: wan22Autoencoder("bf16") },
    defaults: {},
    recommended: { flowShift: 10 },
  },
  {
    ...COMMON,
    name: "cosmos3-super",
    repository: `${ORGANIZATION}/Cosmos3-Super`,
    components: {
      transformer: transformer({
        ...QWEN3_STYLE,
        hidden_size: 5120,
        intermediate_size: 25600,
        num_attention_heads: 64,
        num_hidden_layers: 64,
      }),
      vae: wan22Autoencoder("bf16"),
    },
    defaults: {},
    recommended: { flowShift: 10 },
  },
  {
    ...COMMON,
    name: "cosmos3-edge",
    repository: `${ORGANIZATION}/Cosmos3-Edge`,
    components: {
      transformer: transformer({
        ...ACTIONS,
        hidden_size: 2048,
        intermediate_size: 9216,
        num_attention_heads: 16,
        num_hidden_layers: 28,
        vocab_size: 131072,
        hidden_act: "relu2",
        qk_norm_for_text: false,
        use_und_k_norm_for_gen: true,
        rms_norm_eps: 1e-5,
        rope_scaling: { mrope_section: [24, 20, 20] },
        rope_theta: 100_000_000,
      }),
      vae: wan22Autoencoder("bf16"),
    },
    defaults: {},
    recommended: {
      height: 480,
      width: 832,
      numFrames: 121,
      numInferenceSteps: 20,
      guidanceScale: 5,
      flowShift: 8,
      fps: 24,
    },
  },
];
