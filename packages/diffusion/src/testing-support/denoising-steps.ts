/** What a pipeline said at each denoising step, against a case. */
import type { HostTensor } from "../pipelines/video-pipeline.js";
import { caseTolerance } from "./case-tolerance.js";
import type { ParityReport } from "./parity.js";
import type { CaseParameters } from "./reference-case.js";

/** Compares predictions and latents of steps 0 to `count` − 1 of the run `name`; `seen` holds what `onTensor` heard. */
export function checkSteps(
  report: ParityReport,
  name: string,
  count: number,
  seen: ReadonlyMap<string, HostTensor>,
  parameters: CaseParameters,
): void {
  const pred = caseTolerance(parameters, "pred");
  const latents = caseTolerance(parameters, "latents");
  for (let i = 0; i < count; i++) {
    const step = `${name}.step${i}`;
    const heard = (tensor: string) => seen.get(`step${i}.${tensor}`)!.data;
    report.check(`${step}.pred_positive`, heard("noise_cond"), pred, "pred_positive");
    // Guidance that is off predicts once a step.
    if (seen.has(`step${i}.noise_uncond`) || report.has(`${step}.pred_negative`))
      report.check(`${step}.pred_negative`, heard("noise_uncond"), pred, "pred_negative");
    report.check(`${step}.latents`, heard("latents"), latents, "latents");
  }
}
