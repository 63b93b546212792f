/** Whether a checkpoint opens: what `lvsa generate` would refuse, `lvsa inspect` says too, because it asks the same code. */
import { Engine } from "@lvsa/diffusion";
import type { InspectionProblem } from "@lvsa/diffusion/catalog";
import { countingGpu, type FolderReader, isLvsaError } from "@lvsa/runtime";

/** Opens the pipeline on a device that computes nothing: class, configurations, scheduler, tokenizers, weights' headers. */
export async function openingProblem(folder: FolderReader): Promise<InspectionProblem | undefined> {
  try {
    using engine = await Engine.open(folder, { device: countingGpu().device, registered: false });
    // Plans a clip, the scheduler's steps among it, and is stopped before anything is loaded.
    await engine.generate({ prompt: "", signal: AbortSignal.abort() });
    return undefined;
  } catch (error) {
    if (!isLvsaError(error)) throw error;
    // An image that it needs, for one, is the user's to give.
    if (error.code === "ABORTED" || error.isUsage) return undefined;
    const { code, message, fix, where } = error;
    return {
      ...{ severity: "error", code, message },
      ...(fix === undefined ? {} : { fix }),
      ...(where === undefined ? {} : { where }),
    };
  }
}
