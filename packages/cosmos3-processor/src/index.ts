export { Cosmos3LvsaProcessor, type Cosmos3ProcessorOptions } from "./cosmos3-lvsa-processor.js";
export * from "./error-codes.js";
export {
  COSMOS3_DEFAULTS,
  type Cosmos3LvsaInstallation,
  type Cosmos3LvsaOptions,
  type Cosmos3Transformer,
  installCosmos3Lvsa,
} from "./install-cosmos3-lvsa.js";
export { VERSION } from "./version.js";
