/**
 * What every `ModelAdapter` must do, as named checks that any test runner can run:
 *
 *     for (const { name, run } of adapterConformance(fixture)) test(name, run);
 *
 * The fixture supplies a small model of the family with real weights, makes calls of any length, and says what is
 * known of the family from elsewhere: an adapter that is wrong in one of these facts fails.
 */
import type { ConformanceCheck, ConformanceFixture } from "./conformance-fixture.js";
import { factChecks } from "./fact-checks.js";
import { layerChecks } from "./layer-checks.js";
import { processorChecks } from "./processor-checks.js";

export type { ConformanceCheck, ConformanceFixture, KnownClip } from "./conformance-fixture.js";

/** The checks, in the order they should run. Each makes its own calls and leaves the model as it was. */
export function adapterConformance(fixture: ConformanceFixture): ConformanceCheck[] {
  return [...factChecks(fixture), ...layerChecks(fixture), ...processorChecks(fixture)];
}

/** Their names, for runners that want a list before the fixture is made. */
export function conformanceChecks(): string[] {
  // The list of checks does not depend on the fixture's contents.
  return adapterConformance({} as ConformanceFixture).map(({ name }) => name);
}
