export { SoftwareAdapterError, type SoftwareAdapterErrorCode } from "./error.js";
export * from "./error-codes.js";
export {
  type InstalledSoftwareAdapter,
  installSoftwareAdapter,
  type SoftwareAdapterOptions,
} from "./install-software-adapter.js";
