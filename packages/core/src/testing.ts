export {
  adapterConformance,
  type ConformanceCheck,
  type ConformanceFixture,
  conformanceChecks,
  type KnownClip,
} from "./testing/adapter-conformance.js";
export { familyGeometryRules } from "./testing/family-rules.js";
