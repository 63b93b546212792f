/** `stepCache`: which cache, and its numbers. */
import * as z from "zod";

export const STEP_CACHES = ["easycache", "magcache", "first-block", "teacache"] as const;
export type StepCacheName = (typeof STEP_CACHES)[number];

const THRESHOLD = "expected a threshold above 0";
const threshold = z.number(THRESHOLD).positive(THRESHOLD);
const share = z.number().min(0).max(1);
const count = z.int().min(0).max(1000);
const ratios = z.array(z.number().positive()).min(1).max(1000);
/** Measured ratios of each step, as a file or the option has them. */
export const magRatiosSchema = z.strictObject({ positive: ratios, negative: ratios.optional() });

const common = { threshold: threshold.optional() };
const schema = z.discriminatedUnion("name", [
  z.strictObject({
    name: z.literal("easycache"),
    ...common,
    /** Shares of the noise schedule between which steps are judged. */
    start: share.optional(),
    end: share.optional(),
    /** Every so-manieth row and column of the latents is looked at. */
    subsample: z.int().min(1).max(64).optional(),
  }),
  z.strictObject({
    name: z.literal("magcache"),
    ...common,
    /** At most so many steps in a row. */
    maxSkipSteps: count.optional(),
    /** Share of the steps at the start that always run. */
    retentionRatio: share.optional(),
    /** Measured ratios, instead of the published ones: `lvsa calibrate`. */
    ratios: magRatiosSchema.optional(),
  }),
  z.strictObject({ name: z.literal("first-block"), ...common }),
  /** Skips nothing, and measures the ratios that `magcache` takes: `result.stepCache.magRatios`. */
  z.strictObject({ name: z.literal("calibrate") }),
  z.strictObject({
    name: z.literal("teacache"),
    ...common,
    /** Of the polynomial, highest power first; with `input`. */
    coefficients: z.array(z.number()).min(1).max(16).optional(),
    input: z.enum(["temb", "timeProj"]).optional(),
    /** Steps at the start and at the end that always run. */
    firstSteps: count.optional(),
    lastSteps: count.optional(),
  }),
]);

export type StepCacheOptions = z.infer<typeof schema>;
export type StepCacheOptionsOf<Name extends StepCacheName> = Extract<StepCacheOptions, { name: Name }>;

const TEXT = new RegExp(`^(${STEP_CACHES.join("|")})(?::(\\d+\\.?\\d*|\\.\\d+))?$`);
const EXPECTED = `expected ${STEP_CACHES.join(", ")}, with :threshold if it is not the usual one`;

/** A name, `name:threshold`, or an object with everything. */
export const stepCacheField = z.union(
  [
    z
      .string()
      .regex(TEXT, EXPECTED)
      .transform((text): StepCacheOptions => {
        const [, name, value] = TEXT.exec(text)!;
        return { name: name as StepCacheName, ...(value === undefined ? {} : { threshold: Number(value) }) };
      })
      .refine((options) => !("threshold" in options) || Number(options.threshold) > 0, THRESHOLD),
    schema,
  ],
  EXPECTED,
);
