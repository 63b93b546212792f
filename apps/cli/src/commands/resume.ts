/** `lvsa resume`: goes on with a run that was stopped, killed or failed. */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { UsageError } from "../exit-codes.js";
import { runGenerate } from "../generate/run.js";
import { runDecode } from "../generate/run-decode.js";
import { type GivenOptions, type RunRecord, readKeptRun } from "../generate/run-record.js";
import type { CommandIo } from "../io.js";
import { parseGenerateOptions } from "../options/generate-options.js";
import { keptMp4 } from "../options/mp4-option.js";
import {
  addResumeOptions,
  parseResumeOptions,
  type ResumeCommandOptions,
} from "../options/run-file-options.js";
import { withReporter } from "./with-reporter.js";

export function resumeCommand(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const command = program.command("resume").description("Go on with a run that was stopped or failed");
  addResumeOptions(command).action(async (file: string, raw: Record<string, unknown>) => {
    const options = parseResumeOptions({ ...raw, file });
    await withReporter(io, options, exit, async (reporter, signal) => {
      const path = runFile(options.file);
      const kept = await readKeptRun(path);
      if (kept.kind === "latents") {
        const clip = { numFrames: undefined, height: undefined, width: undefined, fps: undefined };
        const { mp4: layout, ...own } = kept.record?.options ?? {};
        const mp4 = keptMp4(layout, options.output ?? kept.record?.output);
        await runDecode({ ...clip, ...ownDevice(own, options), mp4, file: path }, reporter, signal);
        if (isOwnFile(kept.record, path)) await rm(path, { force: true });
        return;
      }
      const { record, state } = kept;
      const { mp4, preview, ...rest } = record.options;
      const onDevices = givenDevices(rest, options);
      // A picture on the terminal needs lines of text.
      const isSilent = options.json || options.quiet;
      const own = preview === undefined || (preview === "terminal" && isSilent) ? rest : { ...rest, preview };
      const changed = overrides(onDevices, record.output, record.outputLatent);
      const layout = keptMp4(mp4, options.output ?? record.output);
      const given = { ...withoutDevices(own, onDevices), ...(layout ? { mp4: layout } : {}), ...changed };
      // Paths in the run's own options are seen from where it began.
      enter(record.folder);
      const request = {
        options: parseGenerateOptions(given),
        given: ownOptions(given),
        resume: { path, state, record },
      };
      await runGenerate(request, reporter, signal);
    });
  });
}

/** Those for ranks, or the first of them for a run that has one. */
function givenDevices(own: GivenOptions, options: ResumeCommandOptions): ResumeCommandOptions {
  const { devices, ...others } = options;
  const ranks = Number(own.cfgParallelSize ?? 1) * Number(own.contextParallelSize ?? 1);
  if (!devices || ranks > 1) return options;
  return { ...others, device: others.device ?? devices[0] };
}

/** Without the run's own devices where others are given. */
function withoutDevices(own: GivenOptions, { device, devices }: ResumeCommandOptions): GivenOptions {
  if (device === undefined && devices === undefined) return own;
  const { device: _one, devices: _several, ...others } = own;
  return others;
}

/** The device of the run, for the same bits, unless another is asked for. */
function ownDevice(own: GivenOptions, options: ResumeCommandOptions): ResumeCommandOptions {
  const { device, math, precision } = own;
  const { devices, ...others } = options;
  // Frames are decoded on one.
  const first = others.device ?? devices?.[0];
  const given = Object.fromEntries(
    Object.entries({ ...others, device: first }).filter(([, value]) => value !== undefined),
  );
  return parseResumeOptions({ device, math, precision, ...given });
}

/** What a run left to be continued goes when it is; latents that were asked for stay. */
function isOwnFile(record: RunRecord | undefined, path: string): boolean {
  return record !== undefined && record.outputLatent !== path && /\.latents(-\d+)?\.safetensors$/.test(path);
}

/** The file itself, or the one beside an output. An absolute path. */
export function runFile(given: string): string {
  const path = resolve(given);
  const beside = ["state", "latents"].map((kind) => `${path}.${kind}.safetensors`);
  if (!path.endsWith(".safetensors") || !existsSync(path)) {
    const found = beside.find((file) => existsSync(file));
    if (found) return found;
  }
  if (existsSync(path)) return path;
  throw new UsageError(
    `there is no file ${path}, and no run is kept beside it`,
    "Give the file that the run named when it ended, or its --output.",
  );
}

function overrides(
  options: ResumeCommandOptions,
  output: string | undefined,
  outputLatent: string | undefined,
): GivenOptions {
  const { model, device, devices, math, precision, checkpointEvery, overwrite, json, quiet } = options;
  const absolute = (path: string | undefined) => (path === undefined ? undefined : resolve(path));
  const all = {
    ...{ device, math, precision, overwrite, json, quiet, model: absolute(model) },
    devices: devices?.join(","),
    checkpointEvery: checkpointEvery === undefined ? undefined : String(checkpointEvery),
    // A path that ended in a slash stays one of a folder.
    output:
      options.output === undefined
        ? output
        : resolve(options.output) + (/[/\\]$/.test(options.output) ? "/" : ""),
    outputLatent: options.output === undefined || output !== undefined ? outputLatent : undefined,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as GivenOptions;
}

/** Without what the next `lvsa resume` is told anew. */
function ownOptions({ overwrite: _1, json: _2, quiet: _3, ...others }: GivenOptions): GivenOptions {
  return others;
}

function enter(folder: string): void {
  try {
    process.chdir(folder);
  } catch {
    // Gone: only paths that are not absolute would have needed it, and these say so themselves.
  }
}
