/** Entry `@lvsa/quality/compare`: methods side by side, with how sure the differences are. */
export {
  type CompareJob,
  type CompareLength,
  type CompareMethod,
  type CompareOptions,
  type CompareResult,
  type Comparison,
  compare,
} from "./compare/compare.js";
export { ATTRIBUTES, type Attribute, type Following, judgeClip } from "./compare/following.js";
export { type PageClip, type PageOptions, renderComparison } from "./compare/page.js";
export { readComparison } from "./compare/reading.js";
export { type Estimate, type SummaryRow, summarize } from "./compare/summary.js";
