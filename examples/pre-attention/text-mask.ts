/**
 * A text mask: keys and values of hidden text tokens are left out, of cross attention and of joint attention alike. Nothing has
 * to know of masks afterwards, so sparse attention goes on.
 */
import { type AttentionProcessor, ConfigError, concat, projectStreams } from "@lvsa/core";
import { type Device, slice, type Tensor } from "@lvsa/runtime";

/** For `dispatcher.addHook`. `mask` `[L]`: 1 = seen by every query, 0 = hidden. Queries of hidden tokens stay. */
export function textMask(mask: Uint8Array): AttentionProcessor {
  const runs = visibleRuns(mask);
  return (call, next) => {
    const { device, module, encoderHiddenStates: text } = call;
    const isJoint = module.projectEncoder !== undefined;
    if (!text || text.dim(1) === 0 || (module.role !== "cross" && !isJoint)) return next(call);
    if (text.dim(1) !== mask.length) {
      throw new ConfigError(
        "MASK_LENGTH",
        `the text mask has ${mask.length} entries, ${module.name} sees ${text.dim(1)} tokens`,
      );
    }
    if (runs.length === 0) throw new ConfigError("MASK_EMPTY", "the text mask hides every token");
    const streams = call.projected ?? projectStreams(call);
    const visible = <Keys extends { readonly key: Tensor; readonly value: Tensor }>(stream: Keys): Keys => ({
      ...stream,
      key: gather(device, stream.key, runs),
      value: gather(device, stream.value, runs),
    });
    // Joint: text has keys beside the video's. Cross: all keys are text.
    const projected = isJoint ? { ...streams, encoder: visible(streams.encoder!) } : visible(streams);
    return next({ ...call, projected });
  };
}

type Run = readonly [start: number, end: number];

function visibleRuns(mask: Uint8Array): Run[] {
  const runs: Run[] = [];
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start]) continue;
    let end = start;
    while (end < mask.length && mask[end]) end++;
    runs.push([start, end]);
    start = end;
  }
  return runs;
}

function gather(device: Device, tensor: Tensor, runs: readonly Run[]): Tensor {
  return concat(
    device,
    runs.map(([start, end]) => slice(device, tensor, 1, start, end)),
    1,
  );
}
