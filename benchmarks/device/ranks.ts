/**
 * Forward passes of a real configuration with random weights, its frames on one rank and on several, each a process with a
 * device of its own: JSON lines with the seconds of each pass, what of them the exchange took, and its bytes.
 *
 *     node ranks.mjs LABEL '{"config":"wan2.1-t2v-1.3b","numFrames":"81","lvsa":true}' 1,2
 *
 * The second argument holds options of `lvsa bench model` under their long names in camel case; the third the numbers of
 * ranks. Devices: `RANK_DEVICES`, with commas, as `--devices` takes them; by default equal cards. Where cards can not be
 * picked, `RANK_SHELL` is what a shell in a mount namespace of its own runs before each further rank, for example
 * `mount --bind /dev/null /dev/nvidia0`. BENCH_OUT names a file that takes the lines too.
 */
import { spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
import { type Collective, SequenceParallel } from "@lvsa/core";
import { ProcessGroup } from "@lvsa/diffusion/node";
import { StandInModel } from "@lvsa/diffusion/rehearsal";
import { installFamily } from "@lvsa/hooks/families";
import { activationDType, deviceLabel } from "@lvsa/runtime";
import { createDevice } from "@lvsa/runtime/node";
import { benchModelRuns, parseBenchModelOptions } from "../../apps/cli/src/options/bench-options.js";
import { lvsaConfigOf } from "../../apps/cli/src/options/lvsa-options.js";
import { resolveModel } from "../../apps/cli/src/plan/resolve-model.js";
import { chooseRankDevices } from "../../apps/cli/src/ranks/rank-devices.js";

interface Task {
  readonly asked: Record<string, unknown>;
  readonly devices: readonly string[];
}

interface Pass {
  readonly seconds: number;
  /** Copies, and waiting for the other ranks. */
  readonly exchangeSeconds: number;
  readonly givenBytes: number;
  readonly takenBytes: number;
}

const [first, second, third = "1,2"] = process.argv.slice(2);
if (first === "rank") await follow(second!, Number(third));
else if (first && second) await lead(first, JSON.parse(second), third.split(",").map(Number));
else throw new Error("usage: node ranks.mjs LABEL OPTIONS [NUMBERS OF RANKS]");

async function lead(
  label: string,
  asked: Record<string, unknown>,
  numbers: readonly number[],
): Promise<void> {
  const say = (line: object) => {
    const text = `${JSON.stringify({ what: "ranks", label, ...line, asked })}\n`;
    process.stdout.write(text);
    if (process.env.BENCH_OUT) appendFileSync(process.env.BENCH_OUT, text);
  };
  for (const ranks of numbers) {
    try {
      const devices = await devicesOf(ranks);
      await using group = await ProcessGroup.open({ worldSize: ranks, task: { asked, devices } });
      const others = Array.from({ length: ranks - 1 }, (_, i) => start(group, i + 1));
      try {
        await group.complete();
        say({ ranks, devices, ...(await measure(group, { asked, devices })) });
        await group.leave();
      } finally {
        for (const child of others) child.kill();
      }
    } catch (error) {
      say({ ranks, failed: String(error).slice(0, 400) });
    }
  }
}

async function follow(address: string, rank: number): Promise<void> {
  await using group = await ProcessGroup.join(address, rank);
  try {
    await measure(group, group.task as Task);
    await group.leave();
  } catch (error) {
    group.fail(error);
    throw error;
  }
}

function start(group: ProcessGroup, rank: number) {
  const args = [...process.execArgv, process.argv[1]!, "rank", group.address, String(rank)];
  const shell = process.env.RANK_SHELL;
  const child = shell
    ? spawn("unshare", ["-m", "sh", "-c", `${shell}; exec "$@"`, "sh", process.execPath, ...args], {
        stdio: ["ignore", "ignore", "inherit"],
      })
    : spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  child.on("close", (code, signal) => {
    if (code !== 0) group.fail(new Error(`rank ${rank} ended with ${signal ?? code}`), rank);
  });
  return child;
}

async function devicesOf(ranks: number): Promise<readonly string[]> {
  const named = process.env.RANK_DEVICES?.split(",");
  if (named) return named.slice(0, ranks);
  if (process.env.RANK_SHELL) return Array.from({ length: ranks }, () => "auto");
  const chosen = await chooseRankDevices({
    ...{ cfgParallelSize: 1, contextParallelSize: ranks, device: "auto" },
  });
  if (chosen.line) process.stderr.write(`${chosen.line}\n`);
  return chosen.devices ?? Array.from({ length: ranks }, () => "auto");
}

async function measure(group: ProcessGroup, { asked, devices }: Task) {
  const options = benchModelRuns(parseBenchModelOptions(asked))[0]!;
  const device = await createDevice({ adapter: devices[group.rank] ?? "auto", math: options.math });
  try {
    const { model } = await resolveModel({ model: options.config });
    const precision = options.precision === "auto" ? activationDType(device) : options.precision;
    const { numFrames, height, width } = options;
    using host = new StandInModel(device, model, {
      ...{ numFrames, height, width, precision, encoderLayers: options.encoderLayers },
    });
    for (const name of host.encoders) await host.encode(name);
    await device.releaseMemory();
    await host.loadTransformer();
    const { tokenFrames: latentFrames, patchesPerFrame } = host.grid;
    using installed = options.lvsa
      ? await installFamily(
          host,
          { numFrames: host.grid.numFrames, height, width, latentFrames, patchesPerFrame },
          { config: lvsaConfigOf(options), log: () => undefined },
        )
      : undefined;
    let exchangeSeconds = 0;
    const collective = group.collective();
    const timed: Collective = {
      ...collective,
      allGather: async (bytes, wanted, into) => {
        const begin = performance.now();
        const parts = await collective.allGather(bytes, wanted, into);
        exchangeSeconds += (performance.now() - begin) / 1000;
        return parts;
      },
    };
    const sequence = group.worldSize > 1 ? new SequenceParallel(timed) : undefined;
    const passes: Pass[] = [];
    const count = options.warmUp + options.steps;
    for (let index = 0; index < count; index++) {
      // All begin together.
      await collective.allGather(new Uint8Array(1));
      const before = group.traffic;
      exchangeSeconds = 0;
      const begin = performance.now();
      await host.forward({ index, count, generation: 0 }, sequence ? { sequence } : {});
      const seconds = (performance.now() - begin) / 1000;
      const { givenBytes, takenBytes } = group.traffic;
      passes.push({
        ...{ seconds, exchangeSeconds },
        givenBytes: givenBytes - before.givenBytes,
        takenBytes: takenBytes - before.takenBytes,
      });
    }
    return {
      device: deviceLabel(device.info),
      ...{ precision, latentFrames, patchesPerFrame },
      attendedFraction: installed?.processor.pattern?.density ?? 1,
      peakBytes: device.memory().peakBytes,
      warmUp: options.warmUp,
      passes,
    };
  } finally {
    device.dispose();
  }
}
