export { createWanAdapter, WanAdapter } from "./wan-adapter.js";
