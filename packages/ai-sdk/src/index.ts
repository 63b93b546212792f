export { AI_SDK_ERROR_CODES, type AiSdkErrorCode } from "./error-codes.js";
export { type LvsaVideoOptions, lvsaVideoOptionsSchema } from "./options.js";
export { createLvsa, type LvsaProvider, type LvsaProviderSettings } from "./remote.js";
