/** A model that is known by name, as text and as JSON. */
import { componentPlans, type ModelDescription } from "@lvsa/diffusion/catalog";
import { renderTable } from "../output/table.js";
import { formatBytes, formatCount } from "../output/units.js";

/** Lines end with newlines. */
export function renderKnownText(model: ModelDescription): string {
  const plans = Object.entries(componentPlans(model));
  const sum = (pick: (plan: (typeof plans)[number][1]) => number) =>
    plans.reduce((total, [, plan]) => total + pick(plan), 0);
  const rows = plans.map(([name, plan]) => [
    name,
    plan.className,
    formatCount(plan.parameters),
    formatCount(plan.tensors),
    model.components[name]!.storedDType,
    formatBytes(plan.storedBytes),
  ]);
  const all = [
    "all",
    "",
    formatCount(sum((plan) => plan.parameters)),
    formatCount(sum((plan) => plan.tensors)),
    "",
    formatBytes(sum((plan) => plan.storedBytes)),
  ];
  const columns = [
    { title: "component" },
    { title: "class" },
    { title: "parameters", align: "right" },
    { title: "tensors", align: "right" },
    { title: "dtype" },
    { title: "bytes", align: "right" },
  ] as const;
  const title = [model.name, model.repository, `${model.family}, ${model.task}`].filter(Boolean).join("  ");
  return `${[title, "Known by name; no files were read.", "", ...renderTable(columns, [...rows, all])].join("\n")}\n`;
}

/** Names as in the published reference configurations. */
export function knownToJson(model: ModelDescription): Record<string, unknown> {
  const plans = Object.entries(componentPlans(model));
  return {
    model: model.name,
    repository: model.repository ?? null,
    family: model.family,
    task: model.task,
    pipeline_class: model.pipelineClass,
    parameters: plans.reduce((total, [, plan]) => total + plan.parameters, 0),
    tensors: plans.reduce((total, [, plan]) => total + plan.tensors, 0),
    bytes: plans.reduce((total, [, plan]) => total + plan.storedBytes, 0),
    components: Object.fromEntries(
      plans.map(([name, plan]) => [
        name,
        {
          class: plan.className,
          parameters: plan.parameters,
          tensors: plan.tensors,
          stored_dtype: model.components[name]!.storedDType,
          bytes: { ...plan.bytes, stored: plan.storedBytes },
          config: model.components[name]!.config,
        },
      ]),
    ),
  };
}
