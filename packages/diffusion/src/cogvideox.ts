export { AutoencoderKLCogVideoX } from "./models/autoencoders/autoencoder-kl-cogvideox.js";
export { T5EncoderModel } from "./models/text-encoders/t5-encoder.js";
export { CogVideoXAttention } from "./models/transformers/cogvideox-attention.js";
export {
  type CogVideoXForwardInputs,
  CogVideoXTransformer3DModel,
} from "./models/transformers/transformer-cogvideox.js";
export type { CogVideoXTransformerConfig } from "./models/transformers/transformer-cogvideox-definition.js";
export { CogVideoXPipeline } from "./pipelines/cogvideox/pipeline-cogvideox.js";
