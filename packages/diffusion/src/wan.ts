export { AutoencoderKLWan } from "./models/autoencoders/autoencoder-kl-wan.js";
export { T5EncoderModel } from "./models/text-encoders/t5-encoder.js";
export type { Tap } from "./models/transformers/forward-hooks.js";
export { type WanForwardInputs, WanTransformer3DModel } from "./models/transformers/transformer-wan.js";
export type { WanTransformerConfig } from "./models/transformers/transformer-wan-definition.js";
export { WanAttention } from "./models/transformers/wan-attention.js";
export { WanPipeline } from "./pipelines/wan/pipeline-wan.js";
