/**
 * The sequence in shards: every rank projects, rotates and attends with its own run of tokens, and sees everyone's keys and
 * values. Ranks run one after another on one device here; where each has a device of its own, `concat` of keys and values
 * is an all-gather, and the rest stays as it is.
 */
import {
  type AttentionCall,
  type AttentionProcessor,
  ConfigError,
  concat,
  type OutputEpilogue,
  type RankShard,
  shardRotary,
  type Tensor,
} from "@lvsa/core";
import { slice } from "@lvsa/runtime";

export interface ShardSequenceOptions {
  readonly worldSize: number;
  /**
   * What ranks do with their queries. `shards` (default): each attends with its own. `whole`: queries are gathered too, and what
   * comes after sees the whole sequence in frame order; sparse attention needs that, because its patterns know whole frames.
   */
  readonly attend?: "shards" | "whole";
}

/** For `dispatcher.addHook`: self attention over video, by `worldSize` ranks; other calls pass unchanged. */
export function shardSequence({ worldSize, attend = "shards" }: ShardSequenceOptions): AttentionProcessor {
  return (call, next) => {
    const { device, module } = call;
    if (module.role !== "self" || module.causal || worldSize === 1) return next(call);
    const ranks = Array.from({ length: worldSize }, (_, rank) => shardCall(call, { rank, worldSize }));
    // What each rank does alone.
    const streams = ranks.map((own) => {
      const projected = own.projected ?? module.project(own);
      module.rotate(projected, own.rotary);
      return projected;
    });
    // What they exchange.
    const gathered = (name: "query" | "key" | "value") =>
      concat(
        device,
        streams.map((stream) => stream[name]),
        1,
      );
    const [key, value] = [gathered("key"), gathered("value")];
    // Without tables nothing is rotated again.
    if (attend === "whole") {
      return next({ ...without(call), projected: { query: gathered("query"), key, value } });
    }
    const parts = ranks.map((own, rank) =>
      next({ ...without(own), projected: { query: streams[rank]!.query, key, value } }),
    );
    return {
      hiddenStates: concat(
        device,
        parts.map(({ hiddenStates }) => hiddenStates),
        1,
      ),
    };
  };
}

/** The call as one rank sees it: its rows of the stream, of the tables and of what the output is added to. */
function shardCall(call: AttentionCall, shard: RankShard): AttentionCall {
  const { device, hiddenStates, projected, epilogue } = call;
  const tokens = hiddenStates.dim(1);
  if (tokens % shard.worldSize !== 0) {
    throw new ConfigError("NOT_DIVISIBLE", `${shard.worldSize} ranks cannot share ${tokens} tokens equally`, {
      fix: "Take a number of ranks that divides the tokens of the clip.",
    });
  }
  const own = tokens / shard.worldSize;
  const rows = (tensor: Tensor) => slice(device, tensor, 1, shard.rank * own, (shard.rank + 1) * own);
  // A shard is no run of whole frames, so nobody may read frames into it.
  const { geometry: _frames, ...rest } = shardRotary(call, shard);
  return {
    ...rest,
    hiddenStates: rows(hiddenStates),
    ...(projected
      ? {
          projected: { query: rows(projected.query), key: rows(projected.key), value: rows(projected.value) },
        }
      : {}),
    ...(epilogue ? { epilogue: shardEpilogue(epilogue, rows, tokens, shard) } : {}),
  };
}

/** Gates stand for groups of rows: one for all, one per frame, one per token. */
function shardEpilogue(
  { residual, gate }: OutputEpilogue,
  rows: (tensor: Tensor) => Tensor,
  tokens: number,
  { rank, worldSize }: RankShard,
): OutputEpilogue {
  const own = { residual: rows(residual) };
  if (!gate) return own;
  const groups = gate.dim(0);
  if (groups === 1) return { ...own, gate };
  if (groups % worldSize !== 0) {
    throw new ConfigError(
      "NOT_DIVISIBLE",
      `${worldSize} ranks cannot share ${groups} gates of ${tokens} tokens`,
      {
        fix: "Take a number of ranks that divides the latent frames.",
      },
    );
  }
  const share = groups / worldSize;
  return { ...own, gate: gate.rows(rank * share, (rank + 1) * share) };
}

function without({ rotary: _rotated, ...call }: AttentionCall): AttentionCall {
  return call;
}
