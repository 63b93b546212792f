/** `lvsa inspect`: what a checkpoint holds, and what is wrong with it. */
import { getKnownModel, inspectCheckpoint } from "@lvsa/diffusion/catalog";
import type { Command } from "commander";
import { findModel, openModel } from "../checkpoint/open-model.js";
import { EXIT } from "../exit-codes.js";
import { openingProblem } from "../inspect/opening-problem.js";
import { inspectToJson, renderInspectText } from "../inspect/render-inspect.js";
import { knownToJson, renderKnownText } from "../inspect/render-known.js";
import type { CommandIo } from "../io.js";
import { givenComponents } from "../options/model-options.js";
import { addInspectOptions, parseInspectOptions } from "../options/other-options.js";

export function inspectCommand(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const command = program
    .command("inspect")
    .description("Components, parameters and problems of a checkpoint");
  addInspectOptions(command).action(async (given: string | undefined, raw: Record<string, unknown>) => {
    const options = parseInspectOptions({ ...raw, ...(given === undefined ? {} : { model: given }) });
    const { model, files, json } = options;
    const isName = model !== undefined && (await findModel(model)).kind === undefined;
    if (isName && givenComponents(options).length === 0) {
      const known = getKnownModel(model);
      io.out(json ? `${JSON.stringify(knownToJson(known), undefined, 2)}\n` : renderKnownText(known));
      return;
    }
    const { folder, missing } = await openModel(options, true);
    const inspection = await inspectCheckpoint(folder);
    // What its parts say already need not be said twice, and a part alone does not open.
    const isWhole = inspection.ok && missing.length === 0 && inspection.pipelineClass !== undefined;
    const problem = isWhole ? await openingProblem(folder) : undefined;
    const ok = inspection.ok && !problem;
    const object = { ...inspectToJson(inspection), ok, problem: problem ?? null, missing_flags: missing };
    io.out(
      json
        ? `${JSON.stringify(object, undefined, 2)}\n`
        : renderInspectText(inspection, { files, missing, ...(problem ? { problem } : {}) }),
    );
    // As `lvsa generate` would end with it.
    if (!ok) exit(EXIT.usage);
  });
}
