/** What went wrong, where the visitor sees it, with what to do about it. */
import { isLvsaError } from "@lvsa/runtime/errors";
import { create, element } from "./dom.js";

export function showProblem(error: unknown): void {
  const box = element("problem", HTMLElement);
  const message = error instanceof Error ? error.message : String(error);
  const fix = isLvsaError(error) ? error.fix : undefined;
  const where = isLvsaError(error) && error.where ? ` (${error.where})` : "";
  showMessage(box, `${message}${where}`, fix);
  if (!isLvsaError(error)) console.error(error);
}

export function showMessage(box: HTMLElement, message: string, fix: string | undefined): void {
  box.replaceChildren(create("strong", {}, capital(message)), ...(fix ? [create("p", {}, fix)] : []));
  box.hidden = false;
  // It is the first of a long page.
  box.scrollIntoView({ block: "nearest" });
}

export function clearProblem(): void {
  element("problem", HTMLElement).hidden = true;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
