/** Where Node finds video encoders. */
import { importOptional } from "@lvsa/runtime/node-import";
import type { VideoBackend } from "../backend.js";
import { webCodecsBackend } from "../webcodecs.js";
import { h264WasmBackend } from "./h264-wasm.js";
import { vp9WasmBackend } from "./vp9-wasm.js";

/**
 * Native encoders by @napi-rs/webcodecs, when the user installed it: several times faster. It is never a dependency,
 * because it contains x264 and x265 (GPL). Puts WebCodecs on `globalThis`.
 */
const napiWebCodecsBackend: VideoBackend = {
  name: "@napi-rs/webcodecs",
  codecs: ["avc", "vp9"],
  howToGet: "npm install @napi-rs/webcodecs@1.3.1 (native and fast; contains GPL code)",
  async open(config) {
    if (typeof globalThis.VideoEncoder === "undefined") {
      const polyfill = "@napi-rs/webcodecs/polyfill";
      await importOptional(polyfill, () => import(polyfill));
    }
    return webCodecsBackend.open(config);
  },
};

/** Node's encoders in order of preference: native where installed, else WebAssembly. */
export function nodeVideoBackends(): readonly VideoBackend[] {
  return [napiWebCodecsBackend, h264WasmBackend, vp9WasmBackend];
}
