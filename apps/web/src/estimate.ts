/** What the clip will take, before it starts, and the picture of who attends to whom. */
import type { ClipPlan } from "@lvsa/web";
import { create, element } from "./dom.js";
import { bytesInWords, percent, secondsInWords } from "./words.js";

/** While it is busy, what is shown is of the clip before. */
export function setEstimating(isBusy: boolean): void {
  element("estimate", HTMLElement).setAttribute("aria-busy", String(isBusy));
}

/** @param onShorter is called with a length that fits */
export function showEstimate(
  plan: ClipPlan,
  withDense: boolean,
  onShorter: (numFrames: number) => void,
): void {
  const box = element("estimate", HTMLElement);
  const dense = (plan.seconds * plan.flops.dense) / plan.flops.planned;
  const seconds = plan.seconds + (withDense ? dense : 0);
  const about = plan.secondsFrom === "measured" ? "about" : "roughly";
  const time = `${about} ${secondsInWords(seconds)}${withDense ? " for both" : ""}`;
  box.classList.toggle("bad", !plan.fits);
  if (plan.fits) {
    const saved =
      !withDense && plan.density < 1 ? `; dense attention would take ${secondsInWords(dense)}` : "";
    box.replaceChildren(
      `${capital(time)}${saved}. Memory: ${bytesInWords(plan.peakBytes)}, most of it in ${plan.peakPhase}.`,
    );
  } else {
    const has =
      plan.availableBytes === undefined ? "" : `, and there are ${bytesInWords(plan.availableBytes)}`;
    box.replaceChildren(
      plan.refusal ??
        `This clip needs ${bytesInWords(plan.peakBytes)} of memory (in ${plan.peakPhase})${has}.`,
      ...plan.fitting.flatMap(({ numFrames, words, peakBytes }) => {
        const text = `${words} would fit (${bytesInWords(peakBytes)})`;
        if (numFrames === undefined) return [` ${text}.`];
        return [
          " ",
          create("button", { type: "button", textContent: text, onclick: () => onShorter(numFrames) }),
        ];
      }),
      ...(plan.fitting.length === 0 ? [" No length would fit at this size: make it smaller."] : []),
    );
  }
  element("generate", HTMLButtonElement).disabled = !plan.fits;
  showMask(plan);
  setEstimating(false);
}

function showMask(plan: ClipPlan): void {
  const text = element("mask-text", HTMLElement);
  const picture = element("mask", HTMLElement);
  if (plan.maskSvg === undefined) {
    picture.replaceChildren();
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", "Every frame attends to every frame");
    text.textContent = "Dense: every frame attends to every frame.";
    return;
  }
  const parsed = new DOMParser().parseFromString(plan.maskSvg, "image/svg+xml");
  picture.removeAttribute("role");
  picture.removeAttribute("aria-label");
  picture.replaceChildren(document.importNode(parsed.documentElement, true));
  const attended =
    plan.horizon <= 1
      ? `${percent(plan.density)} attended. Within the training length LVSA has little to save.`
      : `${percent(plan.density)} attended, at ${plan.horizon.toFixed(1)} times the training length.`;
  text.textContent = `${attended} Blue: frames that all see. Orange: the window. Purple: both.`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
