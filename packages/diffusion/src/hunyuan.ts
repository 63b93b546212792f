export { AutoencoderKLHunyuanVideo15 } from "./models/autoencoders/autoencoder-kl-hunyuan-video15.js";
export { Qwen25VLTextModel } from "./models/text-encoders/qwen2-5-vl-text-model.js";
export { T5EncoderModel } from "./models/text-encoders/t5-encoder.js";
export { HunyuanVideo15Attention } from "./models/transformers/hunyuan-video15-attention.js";
export {
  type HunyuanVideo15ForwardInputs,
  HunyuanVideo15Transformer3DModel,
} from "./models/transformers/transformer-hunyuan-video15.js";
export type { HunyuanVideo15TransformerConfig } from "./models/transformers/transformer-hunyuan-video15-definition.js";
export { HunyuanVideo15Pipeline } from "./pipelines/hunyuan/pipeline-hunyuan-video15.js";
