/** An inspected checkpoint as text for the terminal and as JSON. */
import type { CheckpointInspection, ComponentInspection, InspectionProblem } from "@lvsa/diffusion/catalog";
import { printable } from "@lvsa/runtime";
import { renderTable } from "../output/table.js";
import { formatBytes, formatCount } from "../output/units.js";

export interface RenderInspectOptions {
  /** List every file. Default: only how many there are. */
  readonly files?: boolean;
  /** Why it does not open although its components are right. */
  readonly problem?: InspectionProblem;
  /** Flags without which these parts make no video. */
  readonly missing?: readonly string[];
}

/** Lines end with newlines. */
export function renderInspectText(
  inspection: CheckpointInspection,
  options: RenderInspectOptions = {},
): string {
  const rows = inspection.components.map((component) => [
    shown(component.name) || "(this folder)",
    shown(component.className),
    component.tensors > 0 ? formatCount(component.parameters) : "",
    component.tensors > 0 ? formatCount(component.tensors) : "",
    Object.keys(component.dtypes).join(" + "),
    component.tensors > 0 ? formatBytes(component.bytes) : "",
    component.files.length > 0 ? String(component.files.length) : "",
    status(component),
  ]);
  const columns = [
    { title: "component" },
    { title: "class" },
    { title: "parameters", align: "right" },
    { title: "tensors", align: "right" },
    { title: "dtype" },
    { title: "bytes", align: "right" },
    { title: "files", align: "right" },
    { title: "" },
  ] as const;
  const sums = [
    "all",
    "",
    formatCount(inspection.parameters),
    formatCount(inspection.tensors),
    "",
    formatBytes(inspection.bytes),
  ];
  const lines = [
    [inspection.name, shown(inspection.pipelineClass ?? ""), inspection.tasks.join(" and ")]
      .filter(Boolean)
      .join("  "),
    "",
    ...renderTable(columns, [...rows, sums]),
    ...(options.files ? files(inspection) : []),
    ...problems(inspection),
    ...(options.problem ? ["", ...problemLines(options.problem)] : []),
    ...(options.missing?.length ? ["", `To make a video, also give ${options.missing.join(", ")}.`] : []),
  ];
  return printable(`${lines.join("\n")}\n`);
}

/** A name from a checkpoint: one line, and no longer than a column bears. */
function shown(name: string): string {
  return name.length > 120 ? `${name.slice(0, 120)}...` : name.replaceAll("\n", "\\n");
}

function status({ problems: found }: ComponentInspection): string {
  const errors = found.filter(({ severity }) => severity === "error").length;
  if (errors > 0) return errors === 1 ? "1 error" : `${errors} errors`;
  if (found.length > 0) return found.length === 1 ? "1 warning" : `${found.length} warnings`;
  return "ok";
}

function files(inspection: CheckpointInspection): string[] {
  const rows = inspection.components.flatMap(({ name, files: list }) =>
    list.map((file) => [
      shown(name ? `${name}/${file.name}` : file.name),
      formatCount(file.tensors),
      formatBytes(file.bytes),
    ]),
  );
  const columns = [
    { title: "file" },
    { title: "tensors", align: "right" },
    { title: "bytes", align: "right" },
  ] as const;
  return rows.length > 0 ? ["", ...renderTable(columns, rows)] : [];
}

function problemLines({ severity, message, fix, where }: InspectionProblem, before?: string): string[] {
  const place = before ?? (where === undefined ? "" : `${where}: `);
  return [`${severity}: ${place}${message}`, ...(fix === undefined ? [] : [`  Fix: ${fix}`])];
}

function problems(inspection: CheckpointInspection): string[] {
  const lines = inspection.components.flatMap((component) =>
    component.problems.flatMap((problem) =>
      problemLines(problem, component.name ? `${component.name}: ` : ""),
    ),
  );
  return lines.length > 0 ? ["", ...lines] : [];
}

/** Names as in the published reference configurations. */
export function inspectToJson(inspection: CheckpointInspection): Record<string, unknown> {
  return {
    checkpoint: inspection.name,
    pipeline_class: inspection.pipelineClass ?? null,
    tasks: inspection.tasks,
    ok: inspection.ok,
    parameters: inspection.parameters,
    tensors: inspection.tensors,
    bytes: inspection.bytes,
    components: Object.fromEntries(
      inspection.components.map((component) => [
        component.name || ".",
        {
          class: component.className,
          library: component.library,
          role: component.role,
          parameters: component.parameters,
          tensors: component.tensors,
          bytes: component.bytes,
          dtypes: component.dtypes,
          files: component.files,
          config: component.config ?? null,
          missing: component.check?.missing.map(({ name, shape }) => ({ name, shape })) ?? [],
          unexpected: component.check?.unexpected ?? [],
          wrong_shape: component.check?.wrongShape ?? [],
          problems: component.problems,
        },
      ]),
    ),
  };
}
