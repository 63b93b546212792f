export { type AppOptions, createApp, DEFAULT_LIMITS, type Limits } from "./app.js";
export { describeModel, type RequestLimits, type ServedModel } from "./models.js";
export { openQueue } from "./open-queue.js";
export { type RunningServer, type ServeOptions, serve, type WorkOptions, work } from "./serve.js";
export { VERSION } from "./version.js";
