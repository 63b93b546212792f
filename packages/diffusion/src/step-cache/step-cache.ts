/** A run's step cache: one set of branches for the transformer at work, forgotten when another one takes over. */
import type { Device } from "@lvsa/runtime";
import type { BlockCache } from "../models/transformers/run-blocks.js";
import { badOption } from "../pipelines/bad-option.js";
import type { PartState, Stateful } from "../run-state/stateful.js";
import { badRunState } from "../run-state/stateful.js";
import { BranchBlocks, type TeaInput } from "./block-cache.js";
import { CalibrationDecider, calibratedRatios } from "./calibration.js";
import {
  BRANCHES,
  type Branch,
  type Decider,
  type Decision,
  FirstBlockDecider,
  MagDecider,
  magForced,
  magForcedOfTwo,
  TeaDecider,
} from "./decisions.js";
import { EasyCache, type EasySettings } from "./easy-cache.js";
import { type MagRatios, magRatiosFor } from "./mag-ratios.js";
import { type CachedModel, magRatiosOf, teaNumbersOf } from "./step-cache-models.js";
import type { StepCacheOptions } from "./step-cache-options.js";

/** One pass of a step that could have been skipped. */
export interface CachedPass extends Decision {
  readonly step: number;
  readonly branch: Branch;
}

export interface StepCacheReport {
  /** Passes of the steps, and how many of them were not computed. */
  readonly passes: number;
  readonly reused: number;
  /** The largest estimate of the error at which a pass was skipped, in the threshold's unit; null where none was. */
  readonly largestError: number | null;
  readonly threshold: number;
  /** Of `calibrate`: what the run measured. */
  readonly magRatios?: MagRatios;
  /** Wall time of passes that were computed, and of those that were not. */
  readonly computedSeconds: number;
  readonly reusedSeconds: number;
}

/** What a run is, as far as its cache depends on it. */
export interface CachedRun {
  readonly device: Device;
  readonly model: CachedModel;
  readonly steps: number;
  /** First step of a second transformer; infinite where there is none. */
  readonly secondFrom: number;
  /** Noise level of the schedule at a share of it, from 1 down to 0. */
  readonly sigmaAt: (share: number) => number;
}

/** A step, before its passes. */
export interface CacheStep {
  readonly index: number;
  /** Noise level. */
  readonly sigma: number;
  /** Name of the transformer at work. */
  readonly transformer: string;
  /** Of the latents: what lies in their last two axes. */
  readonly width: number;
  readonly height: number;
}

/** What a cache knows of one transformer's steps. */
interface Memory {
  readonly easy?: EasyCache;
  readonly blocks?: Readonly<Record<Branch, BranchBlocks>>;
}

export class StepCache implements Stateful, Disposable {
  readonly settings: string;
  readonly trace: CachedPass[] = [];
  readonly #threshold: number;
  readonly #create: () => Memory;
  readonly #measured: Readonly<Record<Branch, number[]>> | undefined;
  #memory: Memory | undefined;
  #step: CacheStep | undefined;
  #transformer = "";
  #computedSeconds = 0;
  #reusedSeconds = 0;

  private constructor(
    settings: string,
    threshold: number,
    create: () => Memory,
    measured?: Readonly<Record<Branch, number[]>>,
  ) {
    this.#measured = measured;
    this.settings = settings;
    this.#threshold = threshold;
    this.#create = create;
  }

  /** @throws UsageError `BAD_OPTION` for a cache without numbers for the model */
  static create(options: StepCacheOptions, run: CachedRun): StepCache {
    const { device } = run;
    if (options.name === "easycache") {
      const { threshold = 0.2, start = 0.15, end = 0.95, subsample = 8 } = options;
      if (start >= end) throw badOption("stepCache: start has to be before end", "0.15 and 0.95 are usual.");
      const easy: EasySettings = {
        ...{ threshold, subsample },
        startSigma: run.sigmaAt(start),
        endSigma: run.sigmaAt(end),
      };
      const text = `easycache, threshold ${threshold}, from ${start} to ${end}, subsample ${subsample}`;
      return new StepCache(text, threshold, () => ({ easy: new EasyCache(easy) }));
    }
    if (options.name === "calibrate") return StepCache.calibration(device);
    const { threshold, text, decider, input } = blockDeciders(options, run);
    return new StepCache(text, threshold, () => ({
      blocks: {
        positive: new BranchBlocks(device, decider("positive"), input),
        negative: new BranchBlocks(device, decider("negative"), input),
      },
    }));
  }

  /** Measures MagCache's ratios, and skips nothing. */
  static calibration(device: Device): StepCache {
    const measured = { positive: [], negative: [] };
    const create = () => ({
      blocks: {
        positive: new BranchBlocks(device, new CalibrationDecider(measured.positive)),
        negative: new BranchBlocks(device, new CalibrationDecider(measured.negative)),
      },
    });
    return new StepCache("calibrate", Number.POSITIVE_INFINITY, create, measured);
  }

  /** For goldens: settings as published runs had them. */
  static withEasySettings(settings: EasySettings): StepCache {
    return new StepCache("easycache", settings.threshold, () => ({ easy: new EasyCache(settings) }));
  }

  /** For goldens. */
  static withDeciders(
    device: Device,
    threshold: number,
    decider: (branch: Branch) => Decider,
    input?: TeaInput,
  ): StepCache {
    return new StepCache("blocks", threshold, () => ({
      blocks: {
        positive: new BranchBlocks(device, decider("positive"), input),
        negative: new BranchBlocks(device, decider("negative"), input),
      },
    }));
  }

  /** Before the passes of a step. Another transformer begins with nothing. */
  begin(step: CacheStep): void {
    if (!this.#memory || step.transformer !== this.#transformer) {
      this.#forget();
      this.#memory = this.#create();
      this.#transformer = step.transformer;
    }
    this.#step = step;
    this.#memory.easy?.beginStep();
  }

  /** The prediction of a pass that need not be run. */
  prediction(branch: Branch, latents: Float32Array): Float32Array | undefined {
    const { easy } = this.#memory!;
    if (!easy) return undefined;
    const { width, height, sigma } = this.#step!;
    const decision = easy.decide(branch, latents, width, height, sigma);
    this.#hear(branch, decision);
    return decision.reuse ? easy.reused(branch, latents) : undefined;
  }

  /** What a pass that is run takes with it. */
  blocks(branch: Branch): BlockCache | undefined {
    const { index } = this.#step!;
    return this.#memory!.blocks?.[branch].begin({
      index,
      heard: (decision) => this.#hear(branch, decision),
    });
  }

  /** After a pass. */
  finished(branch: Branch, latents: Float32Array, prediction: Float32Array, seconds: number): void {
    const last = this.trace.at(-1);
    if (last?.reuse && last.branch === branch && last.step === this.#step!.index) {
      this.#reusedSeconds += seconds;
      return;
    }
    this.#computedSeconds += seconds;
    const { width, height, sigma } = this.#step!;
    this.#memory!.easy?.computed(branch, latents, prediction, width, height, sigma);
  }

  get report(): StepCacheReport {
    const reused = this.trace.filter(({ reuse }) => reuse);
    const errors = reused.flatMap(({ value }) => (value === null ? [] : [value]));
    return {
      ...{ passes: this.trace.length, reused: reused.length, threshold: this.#threshold },
      largestError: errors.length > 0 ? Math.max(...errors) : null,
      ...(this.#measured ? { magRatios: calibratedRatios(this.#measured) } : {}),
      computedSeconds: this.#computedSeconds,
      reusedSeconds: this.#reusedSeconds,
    };
  }

  /** Reads what lies on the GPU, so that `state` has it. */
  async prepareState(): Promise<void> {
    for (const branch of BRANCHES) await this.#memory?.blocks?.[branch].prepareState();
  }

  /** After `prepareState`. */
  state(): PartState {
    const values: Record<string, PartState["values"][string]> = {
      settings: this.settings,
      transformer: this.#transformer,
    };
    const tensors: Record<string, PartState["tensors"][string]> = {};
    for (const [name, part] of this.#parts()) {
      const state = part.state();
      for (const [key, value] of Object.entries(state.values)) values[`${name}.${key}`] = value;
      for (const [key, tensor] of Object.entries(state.tensors)) tensors[`${name}.${key}`] = tensor;
    }
    return { values, tensors };
  }

  restore({ values, tensors }: PartState): void {
    if (values.settings !== this.settings) {
      throw badRunState(`it is that of the cache ${String(values.settings)}, the run has ${this.settings}`);
    }
    this.#forget();
    this.#transformer = String(values.transformer);
    if (this.#transformer === "") return;
    this.#memory = this.#create();
    const under = <Value>(all: Readonly<Record<string, Value>>, name: string) =>
      Object.fromEntries(
        Object.entries(all).flatMap(([key, value]) =>
          key.startsWith(`${name}.`) ? [[key.slice(name.length + 1), value] as const] : [],
        ),
      );
    for (const [name, part] of this.#parts()) {
      part.restore({ values: under(values, name), tensors: under(tensors, name) });
    }
  }

  [Symbol.dispose](): void {
    this.#forget();
  }

  #parts(): [string, Stateful][] {
    const { easy, blocks } = this.#memory ?? {};
    const branches = blocks ? BRANCHES.map((branch): [string, Stateful] => [branch, blocks[branch]]) : [];
    return [...(easy ? [["easy", easy] as [string, Stateful]] : []), ...branches];
  }

  #hear(branch: Branch, decision: Decision): void {
    this.trace.push({ ...decision, branch, step: this.#step!.index });
  }

  #forget(): void {
    for (const branch of BRANCHES) this.#memory?.blocks?.[branch].dispose();
    this.#memory = undefined;
  }
}

interface BlockDeciders {
  readonly threshold: number;
  readonly text: string;
  readonly decider: (branch: Branch) => Decider;
  readonly input?: TeaInput;
}

function blockDeciders(
  options: Exclude<StepCacheOptions, { name: "easycache" | "calibrate" }>,
  { model, steps, secondFrom }: CachedRun,
): BlockDeciders {
  switch (options.name) {
    case "first-block": {
      const { threshold = 0.05 } = options;
      const text = `first-block, threshold ${threshold}`;
      return { threshold, text, decider: () => new FirstBlockDecider(threshold) };
    }
    case "magcache": {
      const { threshold = 0.12, maxSkipSteps = 2, retentionRatio = 0.2, ratios: given } = options;
      const ratios = given ?? magRatiosOf(model);
      const isTwo = secondFrom > 0 && secondFrom < steps;
      const text = `magcache, threshold ${threshold}, at most ${maxSkipSteps} in a row, retention ${retentionRatio}`;
      const decider = (branch: Branch) =>
        new MagDecider({
          ...{ threshold, maxSkipSteps, isInclusive: false },
          ratios: magRatiosFor(ratios[branch] ?? ratios.positive, steps),
          isForced: isTwo
            ? magForcedOfTwo(branch, steps, secondFrom, retentionRatio, model.isImageToVideo)
            : magForced(branch, steps, retentionRatio),
        });
      return { threshold, text: `${text}, ${given ? "given" : "published"} ratios`, decider };
    }
    case "teacache": {
      if (model.family !== "wan") {
        throw badOption(
          "stepCache: TeaCache runs with Wan only",
          "Use easycache, which runs with every model.",
        );
      }
      const { coefficients, threshold: wanted, firstSteps = 1, lastSteps = 1 } = options;
      if (coefficients && wanted === undefined) {
        throw badOption("stepCache: coefficients were given without their threshold", "Give threshold too.");
      }
      const published = coefficients ? undefined : teaNumbersOf(model);
      const threshold = wanted ?? published?.threshold ?? Number.NaN;
      const input = options.input ?? published?.input ?? "temb";
      const polynomial = coefficients ?? published?.coefficients ?? [];
      const text = `teacache, threshold ${threshold}, ${coefficients ? "given" : "published"} coefficients`;
      const settings = { coefficients: polynomial, threshold, steps, firstSteps, lastSteps };
      return { threshold, text, input, decider: () => new TeaDecider(settings) };
    }
  }
}
