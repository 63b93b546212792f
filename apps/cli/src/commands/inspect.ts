/** `lvsa inspect`: what a checkpoint holds, and what is wrong with it. */
import { getKnownModel, inspectCheckpoint } from "@lvsa/diffusion/catalog";
import type { Command } from "commander";
import { kindOfPath, openModel } from "../checkpoint/open-model.js";
import { EXIT } from "../exit-codes.js";
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
    const isName = model !== undefined && (await kindOfPath(model)) === undefined;
    if (isName && givenComponents(options).length === 0) {
      const known = getKnownModel(model);
      io.out(json ? `${JSON.stringify(knownToJson(known), undefined, 2)}\n` : renderKnownText(known));
      return;
    }
    const { folder, missing } = await openModel(options, true);
    const inspection = await inspectCheckpoint(folder);
    io.out(
      json
        ? `${JSON.stringify({ ...inspectToJson(inspection), missing_flags: missing }, undefined, 2)}\n`
        : renderInspectText(inspection, { files, missing }),
    );
    if (!inspection.ok) exit(EXIT.failed);
  });
}
