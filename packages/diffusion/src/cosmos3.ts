export { AutoencoderKLWan } from "./models/autoencoders/autoencoder-kl-wan.js";
export { Cosmos3Attention, type Cosmos3Stream } from "./models/transformers/cosmos3-attention.js";
export { Cosmos3Understanding, type UnderstandingTap } from "./models/transformers/cosmos3-understanding.js";
export {
  type Cosmos3ForwardInputs,
  Cosmos3OmniTransformer,
  type UnderstandOptions,
} from "./models/transformers/transformer-cosmos3.js";
export type { Cosmos3TransformerConfig } from "./models/transformers/transformer-cosmos3-definition.js";
export { Cosmos3OmniPipeline } from "./pipelines/cosmos3/pipeline-cosmos3-omni.js";
