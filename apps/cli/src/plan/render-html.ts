/** A plan as one HTML file that needs nothing else: the mask of the first steps, and the tables as text. */
import { MASK_COLOURS, maskSvg } from "@lvsa/core";
import { escapeHtml } from "../output/escape-html.js";
import { htmlPage } from "../output/html-page.js";
import type { ModelPlan } from "./plan.js";
import type { PlannedMemory } from "./planned-memory.js";
import { type PlannedRun, renderPlanText } from "./render-plan.js";

/** Steps whose masks are drawn; rotating key frames come back to the first one after `offsets` steps. */
const STEPS_DRAWN = 4;

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222; }
pre { overflow-x: auto; background: #f6f7f8; padding: 1rem; }
.masks { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: 1rem; }
figure { margin: 0; }
svg { width: 100%; height: auto; border: 1px solid #ccc; }
.key span { display: inline-block; width: 1em; height: 1em; margin: 0 0.3em 0 1em; vertical-align: -0.15em; }
`;

export function renderPlanHtml(result: ModelPlan, memory: PlannedMemory, run?: PlannedRun): string {
  const { plan, lvsa } = result;
  const title = `${plan.model.name}, ${plan.grid.numFrames} frames`;
  const steps = lvsa ? Math.min(lvsa.offsets, STEPS_DRAWN, plan.steps) : 0;
  const masks = Array.from({ length: steps }, (_, step) => {
    const pattern = lvsa!.patternOfStep(step);
    const label = lvsa!.offsets > 1 ? `Step ${step}` : "All steps";
    const share = `${(pattern.density * 100).toFixed(1)} % attended`;
    return `<figure>${maskSvg(pattern, label)}<figcaption>${label}: ${share}</figcaption></figure>`;
  });
  const key = (["global", "window", "both", "none"] as const)
    .map((kind) => `<span style="background: ${MASK_COLOURS[kind]}"></span>${KEY[kind]}`)
    .join("");
  const picture = lvsa
    ? `<p>Rows are query frames, columns key frames.</p>\n<p class="key">${key}</p>\n<div class="masks">\n${masks.join("\n")}\n</div>`
    : "<p>Attention is dense: every frame attends to every other.</p>";
  return htmlPage(
    title,
    STYLE,
    `${picture}
<pre>${escapeHtml(renderPlanText(result, memory, run))}</pre>`,
  );
}

const KEY = {
  global: "global frame",
  window: "in the window",
  both: "both",
  none: "not attended",
} as const;
