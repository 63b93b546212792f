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
  const isPersistent = await navigator.storage?.persisted?.().catch(() => undefined);
  element("store-text", HTMLElement).textContent = isPersistent
    ? "Stays here until it is removed."
    : "The browser may remove it by itself when the disk gets full; it is loaded again then.";
  element("store-list", HTMLElement).replaceChildren(
    ...models.map((model) => {
      const name = nameOf(model);
      const remove = create("button", { type: "button", textContent: "Remove" });
      remove.setAttribute("aria-label", `Remove ${name}`);
      remove.addEventListener("click", () => {
        removeKeptModel(model.key).then(showKeptModels, showProblem);
      });
      return create("li", {}, `${name} (${bytesInWords(model.bytes)})`, remove);
    }),
  );
}

function nameOf({ url }: KeptModel): string {
  if (url === new URL("model", document.baseURI).href) return "Demo model";
  return url.replace(/^https?:\/\//, "");
}
