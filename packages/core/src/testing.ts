export * from "./testing/adapter-conformance.js";
export * from "./testing/family-rules.js";
