/** Models that the browser keeps, with their sizes, to be removed. */
import { type KeptModel, keptModels, removeKeptModel } from "@lvsa/web";
import { create, element } from "./dom.js";
import { showProblem } from "./problem.js";
import { bytesInWords } from "./words.js";

export async function showKeptModels(): Promise<void> {
  const section = element("store", HTMLElement);
  // A private window keeps none; that is said when a model is opened.
  const models = await keptModels().catch((): KeptModel[] => []);
  section.hidden = models.length === 0;
  element("store-list", HTMLElement).replaceChildren(
    ...models.map((model) => {
      const remove = create("button", { type: "button", textContent: "Remove" });
      remove.setAttribute("aria-label", `Remove ${model.url}`);
      remove.addEventListener("click", () => {
        removeKeptModel(model.key).then(showKeptModels, showProblem);
      });
      return create("li", {}, `${new URL(model.url).pathname} (${bytesInWords(model.bytes)})`, remove);
    }),
  );
}
