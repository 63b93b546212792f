/** `lvsa env`: the `LVSA_*` variables of this shell, what they mean, and who set what is in use. */
import {
  type Environment,
  type EnvironmentReport,
  type EnvironmentRow,
  environmentReport,
} from "@lvsa/hooks";
import type { Command } from "commander";
import * as z from "zod";
import { EXIT } from "../exit-codes.js";
import type { CommandIo } from "../io.js";
import { parseOptions } from "../options/parse-options.js";
import { renderTable } from "../output/table.js";

const schema = z.object({ all: z.boolean().default(false), json: z.boolean().default(false) });

/** `io.env`: instead of the environment of the process. A bad value ends with 2, after the table. */
export function envCommand(
  program: Command,
  io: CommandIo & { readonly env?: Environment },
  exit: (code: number) => void,
): void {
  program
    .command("env")
    .description("LVSA_* variables: value seen, value in use, default, who set it")
    .option("--all", "what each variable means, too")
    .option("--json", "one JSON object")
    .addHelpText("after", "\nExamples:\n  lvsa env\n  LVSA_WAN_HOOK=1 LVSA_WINDOW_SIZE=8 lvsa env --json")
    .action((raw: Record<string, unknown>) => {
      const { all, json } = parseOptions(schema, raw);
      const report = environmentReport(io.env);
      io.out(json ? `${JSON.stringify(asJson(report), undefined, 2)}\n` : renderEnvironment(report, all));
      for (const warning of report.warnings) io.err(`warning: ${warning}\n`);
      for (const problem of report.problems) io.err(`error: ${problem}\n`);
      if (report.problems.length > 0) exit(EXIT.usage);
    });
}

function renderEnvironment({ rows }: EnvironmentReport, all: boolean): string {
  const columns = ["variable", "seen", "in use", "default", "set by"].map((title) => ({ title }));
  const cells = rows.map((row) => [
    row.variable,
    row.seen === undefined ? "" : JSON.stringify(row.seen),
    inUse(row),
    row.defaultText,
    row.source,
    ...(all ? [row.about] : []),
  ]);
  return `${renderTable(all ? [...columns, { title: "meaning" }] : columns, cells).join("\n")}\n`;
}

function inUse({ value }: EnvironmentRow): string {
  if (value === undefined) return "";
  if (typeof value === "boolean") return value ? "on" : "off";
  return Array.isArray(value) ? value.join(",") : String(value);
}

function asJson({ rows, warnings, problems }: EnvironmentReport): unknown {
  return {
    variables: rows.map(({ variable, seen, value, defaultText, source, about }) => ({
      variable,
      seen: seen ?? null,
      value: value ?? null,
      default: defaultText,
      set_by: source,
      about,
    })),
    warnings,
    problems,
  };
}
