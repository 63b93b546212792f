/** An inspected checkpoint as the planner takes it. */
import { ConfigError, onOneLine, uploadedDType } from "@lvsa/runtime";
import type {
  ComponentDescription,
  GenerationDefaults,
  ModelDescription,
} from "../catalog/model-description.js";
import { modelDefaults } from "../catalog/model-shape.js";
import type { StoredDType } from "../catalog/weight-summary.js";
import { requireKnownPipeline } from "../engine/pipeline-registry.js";
import { findVideoModel, modelClassNames } from "../models/model-classes.js";
import { GUIDER_DEFAULT_SCALE } from "../models/transformers/transformer-hunyuan-video15-definition.js";
import type { CheckpointInspection } from "./inspect-checkpoint.js";
import type { ComponentInspection } from "./inspect-component.js";

/**
 * Classes, configurations and number formats of the files; defaults as the family's pipeline and the checkpoint's
 * scheduler and guider have them. Components without weights that can be planned are left out.
 *
 * @throws ConfigError `UNKNOWN_PIPELINE`, `UNKNOWN_MODEL_CLASS`, `MISSING_COMPONENT`
 */
export function describeCheckpoint(inspection: CheckpointInspection): ModelDescription {
  if (inspection.pipelineClass !== undefined) requireKnownPipeline(inspection.pipelineClass);
  const models = inspection.components.filter((component) => component.check !== undefined);
  const transformer = inspection.components.find(({ name }) => name === "transformer");
  const definition = findVideoModel(transformer?.className ?? "");
  if (!definition) {
    throw new ConfigError(
      transformer ? "UNKNOWN_MODEL_CLASS" : "MISSING_COMPONENT",
      transformer
        ? `unknown transformer class ${onOneLine(transformer.className)}; known classes are ${modelClassNames().join(", ")}.`
        : "the checkpoint has no component transformer.",
      { where: inspection.name, fix: "Give a checkpoint folder of a known family (see `lvsa plan --help`)." },
    );
  }
  const components = Object.fromEntries(models.map((model) => [model.name, describeComponent(model)]));
  for (const name of ["transformer", "vae"]) {
    if (components[name] === undefined) {
      const found = inspection.components.find((component) => component.name === name);
      throw new ConfigError(
        "MISSING_COMPONENT",
        `the ${name} can not be read: ${found?.problems[0]?.message ?? "it is not there."}`,
        {
          where: inspection.name,
          fix: "Download the whole checkpoint.",
        },
      );
    }
  }
  const { boundary_ratio: boundary } = inspection.modelIndex;
  const pipelineClass = inspection.pipelineClass ?? "";
  return {
    name: inspection.name,
    family: definition.video.family,
    task: inspection.tasks[0] ?? "text-to-video",
    pipelineClass,
    components,
    defaults: { ...modelDefaults(components), ...fromConfigs(inspection), ...inspection.settings.defaults },
    geometry: inspection.settings.geometry,
    ...(inspection.settings.fewSteps ? { fewSteps: inspection.settings.fewSteps } : {}),
    recommended: {},
    ...(typeof boundary === "number" ? { boundaryRatio: boundary } : {}),
  };
}

function describeComponent(component: ComponentInspection): ComponentDescription {
  const { className, config, types } = component;
  const most = storedAs(component);
  const exceptions = [...types].flatMap(([name, type]) => {
    const { storedDType, packedDType } = storedAs(type);
    const isUsual = storedDType === most.storedDType && packedDType === most.packedDType;
    return isUsual ? [] : [[name, { storedDType, ...(packedDType ? { packedDType } : {}) }] as const];
  });
  return {
    ...{ className, config: config ?? {}, ...most },
    ...(exceptions.length > 0 ? { exceptions: new Map(exceptions) } : {}),
  };
}

function storedAs({ readAs, packedAs }: Partial<Pick<ComponentInspection, "readAs" | "packedAs">>) {
  const dtype = readAs === undefined ? "f32" : uploadedDType(readAs);
  return {
    storedDType: isStoredDType(dtype) ? dtype : "f32",
    ...(packedAs === undefined ? {} : { packedDType: packedAs }),
  };
}

function isStoredDType(dtype: string): dtype is StoredDType {
  return dtype === "f32" || dtype === "f16" || dtype === "bf16";
}

/** Settings that a checkpoint states in its scheduler or guider. */
function fromConfigs({ schedulerConfig, guiderConfig }: CheckpointInspection): Partial<GenerationDefaults> {
  const shift = schedulerConfig?.flow_shift ?? schedulerConfig?.shift;
  const guidance = guiderConfig && (guiderConfig.guidance_scale ?? GUIDER_DEFAULT_SCALE);
  return {
    ...(typeof shift === "number" ? { flowShift: shift } : {}),
    ...(typeof guidance === "number" ? { guidanceScale: guidance } : {}),
  };
}
