export * from "./testing/family-rules.js";
