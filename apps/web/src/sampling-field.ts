/** How the model samples: the few-step student that comes with it, a preset for few-step LoRAs, or steps and guidance. */
import type { ClipOptions, ModelInfo } from "@lvsa/web";
import { create, element } from "./dom.js";

export class SamplingField {
  readonly #select = element("sampling", HTMLSelectElement);
  readonly #steps = element("steps", HTMLInputElement);
  readonly #guidance = element("guidance", HTMLInputElement);
  #model: ModelInfo | undefined;

  constructor() {
    this.#select.addEventListener("input", () => this.#show());
  }

  open(model: ModelInfo): void {
    this.#model = model;
    const { fewSteps, presets } = model;
    const own = create(
      "option",
      { value: "" },
      fewSteps === undefined
        ? "The model's own"
        : `Full: the model itself, in ${model.defaults.numInferenceSteps} steps`,
    );
    // Presets of other models are nothing for one that has its own.
    const offered = presets.filter(({ name }) => fewSteps === undefined || name === fewSteps);
    const options = offered.map(({ name, description, numInferenceSteps }) =>
      create(
        "option",
        { value: name, title: description },
        fewSteps === undefined
          ? `${name}: ${description}`
          : `Quick: its few-step student, in ${numInferenceSteps} steps`,
      ),
    );
    this.#select.replaceChildren(...(fewSteps === undefined ? [own, ...options] : [...options, own]));
    this.#select.value = fewSteps ?? "";
    this.#show();
  }

  /** The student is a LoRA itself: with others the model itself runs. */
  allowStudent(isAllowed: boolean): void {
    const { fewSteps } = this.#model ?? {};
    for (const option of Array.from(this.#select.options))
      option.disabled = option.value === fewSteps && !isAllowed;
    if (isAllowed || fewSteps === undefined || this.#select.value !== fewSteps) return;
    this.#select.value = "";
    this.#show();
  }

  get options(): Pick<ClipOptions, "preset" | "numInferenceSteps" | "guidanceScale"> {
    const preset = this.#select.value;
    if (preset !== "") return { preset };
    return { numInferenceSteps: Number(this.#steps.value), guidanceScale: Number(this.#guidance.value) };
  }

  /** A preset sets both numbers. */
  #show(): void {
    if (!this.#model) return;
    const { presets, defaults } = this.#model;
    const preset = presets.find(({ name }) => name === this.#select.value);
    const { numInferenceSteps, guidanceScale } = preset ?? defaults;
    this.#steps.value = String(numInferenceSteps);
    this.#guidance.value = String(guidanceScale);
    this.#steps.disabled = this.#guidance.disabled = preset !== undefined;
  }
}
