/** The memory of a plan against `--memory-budget`. */
import {
  type FittingOption,
  type MemoryPlan,
  type RehearsalOptions,
  rehearseWithin,
} from "@lvsa/diffusion/rehearsal";
import { formatBytes } from "../output/units.js";
import { fittingText } from "./fitting-text.js";

export interface PlannedMemory extends MemoryPlan {
  /** Blocks of the transformer are streamed, because that was asked for or because the budget needs it. */
  readonly isOffloaded: boolean;
  readonly budget?: {
    readonly bytes: number;
    readonly fits: boolean;
    /** What would fit, where it does not. */
    readonly options: readonly FittingOption[];
  };
}

/**
 * What `lvsa generate` would do with the same options, within the budget and what the device is known to have.
 *
 * @throws ConfigError for sizes that do not fit the model
 */
export async function planMemory(
  options: RehearsalOptions,
  budgetBytes: number | undefined,
  availableBytes?: number,
): Promise<PlannedMemory> {
  const limits = [budgetBytes, availableBytes].filter((bytes) => bytes !== undefined);
  const limit = limits.length > 0 ? Math.min(...limits) : undefined;
  const { memory, isOffloaded, fitting } = await rehearseWithin(options, limit);
  // What the device has is no news where it is enough.
  if (limit === undefined || (budgetBytes === undefined && !fitting && !isOffloaded))
    return { ...memory, isOffloaded };
  return {
    ...{ ...memory, isOffloaded },
    budget: { bytes: limit, fits: fitting === undefined, options: fitting ?? [] },
  };
}

/** Whether it fits, and what would; no lines without a budget. */
export function budgetLines({ budget, isOffloaded, peakBytes }: PlannedMemory): string[] {
  if (!budget) return [];
  const of = `budget  ${formatBytes(budget.bytes)}:`;
  if (budget.fits)
    return ["", `${of} fits${isOffloaded ? " with --offload" : ""} (${formatBytes(peakBytes)})`];
  const options = budget.options.map((one) => `        ${fittingText(one)} (${formatBytes(one.peakBytes)})`);
  const rest =
    options.length > 0
      ? "; this would:"
      : ", and neither --offload, --vae-tiling, fewer frames nor windows would";
  return ["", `${of} does not fit (${formatBytes(peakBytes)})${rest}`, ...options];
}

/** For `--json`. */
export function budgetJson({ budget, isOffloaded, vaeTiling }: PlannedMemory): Record<string, unknown> {
  return {
    offload: isOffloaded,
    vae_tiling: vaeTiling ?? null,
    budget: budget
      ? {
          ...{ bytes: budget.bytes, fits: budget.fits },
          options: budget.options.map((one) => ({ change: fittingText(one), peak_bytes: one.peakBytes })),
        }
      : null,
  };
}
