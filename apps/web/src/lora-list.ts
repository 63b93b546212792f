/** LoRAs that the next clip is made with, each with its weight. */
import type { ClipLora } from "@lvsa/web";
import { create, element } from "./dom.js";

export class LoraList {
  readonly #list = element("lora-list", HTMLUListElement);
  readonly #onChange: () => void;
  #rows: { readonly file: File; readonly weight: HTMLInputElement; readonly row: HTMLLIElement }[] = [];

  /** @param onChange hears that another choice or weight would change a plan */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get loras(): ClipLora[] {
    return this.#rows.map(({ file, weight }) => ({ file, weight: weight.valueAsNumber }));
  }

  /** A file of the same name takes the place of the one that is there. */
  add(files: readonly File[]): void {
    for (const file of files) {
      const before = this.#rows.find((one) => one.file.name === file.name);
      const weight = create("input", { type: "number", step: "any", value: before?.weight.value ?? "1" });
      weight.required = true;
      const remove = create("button", { type: "button", textContent: "Remove" });
      remove.setAttribute("aria-label", `Remove the LoRA ${file.name}`);
      remove.addEventListener("click", () => this.#remove(file));
      const label = create("label", {}, "Weight ", weight);
      const row = create("li", {}, create("span", {}, file.name), label, remove);
      if (before) this.#remove(before.file, false);
      this.#rows.push({ file, weight, row });
      this.#list.append(row);
    }
    this.#onChange();
  }

  clear(): void {
    this.#rows = [];
    this.#list.replaceChildren();
  }

  #remove(file: File, isChange = true): void {
    this.#rows.find((one) => one.file === file)?.row.remove();
    this.#rows = this.#rows.filter((one) => one.file !== file);
    if (isChange) {
      element("add-lora", HTMLButtonElement).focus();
      this.#onChange();
    }
  }
}
