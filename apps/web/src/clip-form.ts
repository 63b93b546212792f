/** What the visitor asks for: the form's fields, and what they mean for a model. */
import type { ClipOptions, ModelInfo } from "@lvsa/web";
import { create, element } from "./dom.js";
import { LoraList } from "./lora-list.js";
import { SamplingField } from "./sampling-field.js";
import { lengthInWords } from "./words.js";

/** The longest clip that the slider offers, in training lengths. */
const LONGEST = 6;

export class ClipForm {
  readonly form = element("form", HTMLFormElement);
  readonly prompt = element("prompt", HTMLTextAreaElement);
  readonly length = element("length", HTMLInputElement);
  readonly lvsa = element("lvsa", HTMLInputElement);
  readonly compare = element("compare", HTMLInputElement);
  readonly loras: LoraList;
  readonly #width = element("width", HTMLInputElement);
  readonly #height = element("height", HTMLInputElement);
  readonly #sampling = new SamplingField();
  readonly #seed = element("seed", HTMLInputElement);
  readonly #memory = element("memory", HTMLInputElement);
  #model: ModelInfo | undefined;

  /** @param onChange hears that a plan would change */
  constructor(onChange: () => void) {
    this.loras = new LoraList(() => {
      this.#sampling.allowStudent(this.loras.loras.length === 0);
      onChange();
    });
    this.form.addEventListener("input", (event) => {
      if (event.target === this.length) this.#sayLength();
      if (event.target === this.lvsa) this.#allowCompare();
      if (event.target !== this.prompt && event.target !== this.#seed) onChange();
    });
  }

  /**
   * Shows the form with the model's own settings.
   * @param start in place of some of them
   */
  open(
    model: ModelInfo,
    prompts: readonly string[],
    { numFrames = model.defaults.numFrames }: { readonly numFrames?: number } = {},
  ): void {
    this.#model = model;
    const { defaults, frameStep, sizeMultiple, trainingFrames } = model;
    this.length.max = String(Math.max(1, Math.ceil((LONGEST * (trainingFrames - 1)) / frameStep)));
    this.length.value = String(Math.round((numFrames - 1) / frameStep));
    for (const [field, value] of [
      [this.#width, defaults.width],
      [this.#height, defaults.height],
    ] as const) {
      field.value = String(value);
      field.min = field.step = String(sizeMultiple);
    }
    this.loras.clear();
    this.#sampling.open(model);
    this.lvsa.checked = numFrames > trainingFrames;
    this.#allowCompare();
    const horizon = element("horizon", HTMLElement);
    horizon.style.setProperty("--at", String((trainingFrames - 1) / frameStep / Number(this.length.max)));
    element("horizon-text", HTMLElement).textContent =
      `The mark is the length of the clips that the model was trained on, ${lengthInWords(trainingFrames, defaults.fps)}.`;
    element("examples", HTMLElement).replaceChildren(
      ...prompts.map((text) =>
        create("button", {
          type: "button",
          textContent: text,
          onclick: () => {
            this.prompt.value = text;
          },
        }),
      ),
    );
    if (this.prompt.value === "") this.prompt.value = prompts[0] ?? "";
    this.#sayLength();
    element("estimate", HTMLElement).textContent = "Estimating time and memory…";
    this.form.hidden = false;
  }

  get numFrames(): number {
    return Number(this.length.value) * (this.#model?.frameStep ?? 1) + 1;
  }

  /** @param lvsa instead of what the form says */
  options(lvsa = this.lvsa.checked): ClipOptions {
    const seed = this.#seed.value.trim();
    const memory = this.#memory.valueAsNumber;
    const { loras } = this.loras;
    return {
      prompt: this.prompt.value.trim(),
      numFrames: this.numFrames,
      width: Number(this.#width.value),
      height: Number(this.#height.value),
      ...this.#sampling.options,
      ...(loras.length > 0 ? { loras } : {}),
      lvsa,
      // Browsers do not tell how much there is.
      ...(memory > 0 ? { memoryBudget: memory * 1e9 } : {}),
      ...(seed === "" ? {} : { seed: Number.isSafeInteger(Number(seed)) ? Number(seed) : BigInt(seed) }),
    };
  }

  /** Takes a length that fits. */
  setFrames(numFrames: number): void {
    this.length.value = String(Math.round((numFrames - 1) / (this.#model?.frameStep ?? 1)));
    this.#sayLength();
  }

  #sayLength(): void {
    const text = lengthInWords(this.numFrames, this.#model?.defaults.fps ?? 16);
    element("length-text", HTMLOutputElement).value = text;
    this.length.setAttribute("aria-valuetext", text);
  }

  #allowCompare(): void {
    this.compare.disabled = !this.lvsa.checked;
    if (this.compare.disabled) this.compare.checked = false;
  }
}
