export * from "./testing/family-rules.js";
export * from "./testing/adapter-conformance.js";
