/** The layer's own path: project, rotate, attend, project out. */
import { HookError } from "@lvsa/runtime";
import { attention } from "../attention/kernel/attention.js";
import type {
  AttentionCall,
  AttentionResult,
  BackendCall,
  BackendRunner,
  ProjectedStreams,
} from "./attention-processor.js";

/** The built-in dense kernel. */
export const denseBackend: BackendRunner = (call: BackendCall) =>
  attention(call.device, {
    query: call.query,
    key: call.key,
    value: call.value,
    scale: call.scale,
    causal: call.causal,
    ...(call.keyMask ? { keyMask: call.keyMask } : {}),
    ...(call.contextKey && call.contextValue
      ? { contextKey: call.contextKey, contextValue: call.contextValue }
      : {}),
  }).output;

/** Q, K, V of every stream of a call, by the layer's own projections. Not rotated; owned by the scope at hand. */
export function projectStreams(call: AttentionCall): ProjectedStreams {
  const { module } = call;
  const video = module.project(call);
  const encoder = module.projectEncoder?.(call);
  return encoder ? { ...video, encoder } : video;
}

/** The same, rotated. What a hook has projected in place of the layer (`call.projected`) counts. */
export function rotatedStreams(call: AttentionCall): ProjectedStreams {
  const { module, rotary, projected } = call;
  if (!projected && rotary && module.projectRotated) {
    const video = module.projectRotated(call);
    const encoder = module.projectEncoder?.(call);
    return encoder ? { ...video, encoder } : video;
  }
  const streams = projected ?? projectStreams(call);
  module.rotate(streams, rotary);
  return streams;
}

/** What `next` is at the end of every chain. */
export function denseAttention(call: AttentionCall, run: BackendRunner = denseBackend): AttentionResult {
  const { module } = call;
  const streams = rotatedStreams(call);
  return module.output(call, module.attend(call, call.shard ? withAllKeys(call, streams) : streams, run));
}

/** The streams of one rank with the keys and values of all. @throws HookError `MASKED_SHARD` */
function withAllKeys(
  { device, module, shard, keyMask, projected }: AttentionCall,
  streams: ProjectedStreams,
): ProjectedStreams {
  if (keyMask?.includes(0)) {
    throw new HookError(
      "MASKED_SHARD",
      "a hook hides keys of a clip that ranks share, and knows its own rank's only",
      {
        where: module.name,
        fix: "Run on one device, or without the hook.",
      },
    );
  }
  const { key, value } = shard!.keys(device, streams);
  // They are in there: of a long clip each is large.
  if (!projected) for (const own of [streams.key, streams.value]) own.dispose();
  return { ...streams, key, value };
}
