/** The page: a model, a form, a clip. */
import "./no-eval.js";
import { DEMO_CLIP, DEMO_PROMPTS } from "@lvsa/demo-wan";
import { UsageError } from "@lvsa/runtime/errors";
import {
  type ClipOptions,
  type ClipPlan,
  createGenerator,
  droppedFiles,
  type GivenFiles,
  type KeptRun,
  keepAwake,
  keptRuns,
  type ModelSource,
  type Progress,
  pickedFiles,
  removeKeptRun,
  type VideoGenerator,
  webgpuProblem,
} from "@lvsa/web";
import { ClipForm } from "./clip-form.js";
import { create, element } from "./dom.js";
import { setEstimating, showEstimate } from "./estimate.js";
import { showKeptModels } from "./kept-list.js";
import { PreviewCanvas } from "./preview-canvas.js";
import { clearProblem, showMessage, showProblem } from "./problem.js";
import { addComparison, addResult } from "./results.js";
import { bytesInWords, secondsInWords } from "./words.js";

/** Name of the run that the page keeps: one at a time. */
const RUN = "page";
const PLAN_DELAY_MILLISECONDS = 200;

/** Buttons that open a model. */
const OPENERS = ["demo", "pick", "pick-files"] as const;

const STAGES: Readonly<Record<Progress["stage"], string>> = {
  download: "Loading the model",
  load: "Loading",
  "encode-prompt": "Reading the prompt",
  "encode-image": "Reading the image",
  denoise: "Step",
  decode: "Decoding",
  encode: "Writing frame",
};

class Page {
  readonly #form = new ClipForm(() => this.#replan());
  readonly #preview = new PreviewCanvas();
  readonly #bar = element("bar", HTMLProgressElement);
  readonly #text = element("progress-text", HTMLElement);
  readonly #pause = element("pause", HTMLButtonElement);
  #generator: VideoGenerator | undefined;
  #running: AbortController | undefined;
  #isPaused = false;
  #isHeld = false;
  #isOpening = false;
  /** Which of two clips is being made; nothing where there is one. */
  #which = "";
  /** What is being done, without whether it is paused. */
  #doing = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #planned = 0;

  start(): void {
    element("demo", HTMLButtonElement).addEventListener("click", () =>
      this.#open({ kind: "url", url: new URL("model", document.baseURI).href, keep: true }),
    );
    for (const [button, input] of [
      ["pick", element("folder", HTMLInputElement)],
      ["pick-files", element("files", HTMLInputElement)],
      ["add-lora", element("lora-files", HTMLInputElement)],
    ] as const) {
      element(button, HTMLButtonElement).addEventListener("click", () => input.click());
      input.addEventListener("change", () => {
        const files = Array.from(input.files ?? []);
        // So that the same can be picked again.
        input.value = "";
        if (files.length > 0) this.#try(async () => this.#take(await pickedFiles(files)));
      });
    }
    this.#takeDrops();
    this.#form.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#try(() => this.#generate());
    });
    element("cancel", HTMLButtonElement).addEventListener("click", () => this.#running?.abort());
    this.#pause.addEventListener("click", () => this.#setPaused(!this.#isPaused));
    element("forget", HTMLButtonElement).addEventListener("click", () =>
      this.#try(async () => {
        await removeKeptRun(RUN);
        await this.#offerKeptRun();
      }),
    );
    addEventListener("beforeunload", (event) => {
      if (this.#running) event.preventDefault();
    });
    void showKeptModels();
    this.#try(async () => {
      const problem = await webgpuProblem();
      if (!problem) return;
      showMessage(element("problem", HTMLElement), problem.message, problem.fix);
      for (const id of OPENERS) element(id, HTMLButtonElement).disabled = true;
    });
  }

  #takeDrops(): void {
    const { body } = document;
    body.addEventListener("dragover", (event) => {
      event.preventDefault();
      body.classList.add("dropping");
    });
    body.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) body.classList.remove("dropping");
    });
    body.addEventListener("drop", (event) => {
      event.preventDefault();
      body.classList.remove("dropping");
      const data = event.dataTransfer;
      if (data) this.#try(async () => this.#take(await droppedFiles(data)));
    });
  }

  /** A model, LoRAs for it, or LoRAs for the one that is open. */
  async #take({ model, loras }: GivenFiles): Promise<void> {
    if (model) await this.#open(model);
    if (loras.length === 0 || (model && !this.#generator)) return;
    if (!this.#generator) {
      throw new UsageError("NO_MODEL", "a LoRA changes a model, and none is open.", {
        fix: "Open the model first, or drop both together.",
      });
    }
    element("more", HTMLDetailsElement).open = true;
    this.#form.loras.add(loras);
  }

  async #open(model: ModelSource): Promise<void> {
    if (this.#running || this.#isOpening) {
      const [what, fix] = this.#running
        ? ["a clip is being made.", "Wait until that is done, or cancel it."]
        : ["another model is being opened.", "Wait until that is done."];
      throw new UsageError("BUSY", what, { fix });
    }
    this.#isOpening = true;
    clearProblem();
    const text = element("model-text", HTMLElement);
    const notes = element("model-notes", HTMLElement);
    notes.replaceChildren();
    notes.hidden = true;
    const buttons = OPENERS.map((id) => element(id, HTMLButtonElement));
    for (const button of buttons) button.disabled = true;
    text.textContent = "Opening the model…";
    this.#generator?.dispose();
    this.#generator = undefined;
    this.#form.form.hidden = true;
    try {
      const isDemo = model.kind === "url";
      this.#generator = await createGenerator({
        model,
        onProgress: ({ done, total }) => {
          text.textContent = `Loading the model: ${bytesInWords(done)} of ${bytesInWords(total)}`;
        },
        onNote: (note) => {
          notes.append(create("li", {}, note));
          notes.hidden = false;
        },
      });
      const { className, device, hardware } = this.#generator.model;
      const name =
        model.kind === "files" ? model.name : model.kind === "directory" ? model.handle.name : "Demo model";
      text.textContent = `${name} (${className}) on ${device}.${
        hardware === "software" ? " This is a processor that stands in for a GPU, and slow." : ""
      }`;
      this.#form.open(this.#generator.model, isDemo ? DEMO_PROMPTS : [], isDemo ? DEMO_CLIP : {});
      await this.#plan();
      await this.#offerKeptRun();
    } catch (error) {
      text.textContent = "No model is open.";
      showProblem(error);
    } finally {
      this.#isOpening = false;
      for (const button of buttons) button.disabled = false;
      await showKeptModels();
    }
  }

  #replan(): void {
    clearTimeout(this.#timer);
    if (!this.#generator || this.#running) return;
    setEstimating(true);
    this.#timer = setTimeout(() => this.#try(() => this.#plan()), PLAN_DELAY_MILLISECONDS);
  }

  /** Shows what the form's clip takes; of several at once only the last. */
  async #plan(): Promise<void> {
    if (!this.#generator || this.#running) return;
    const turn = ++this.#planned;
    setEstimating(true);
    let plan: ClipPlan;
    try {
      plan = await this.#generator.plan(this.#form.options());
    } catch (error) {
      if (turn !== this.#planned) return;
      element("generate", HTMLButtonElement).disabled = true;
      element("estimate", HTMLElement).replaceChildren();
      setEstimating(false);
      throw error;
    }
    if (turn !== this.#planned) return;
    clearProblem();
    showEstimate(plan, this.#form.compare.checked, (numFrames) => {
      this.#form.setFrames(numFrames);
      this.#replan();
    });
  }

  async #generate(resume?: KeptRun): Promise<void> {
    const generator = this.#generator;
    if (!generator || this.#running) return;
    if (!resume) {
      // What is shown belongs to the clip that runs.
      clearTimeout(this.#timer);
      await this.#plan();
      if (element("generate", HTMLButtonElement).disabled || this.#running) return;
    }
    const controller = new AbortController();
    this.#running = controller;
    clearProblem();
    this.#setBusy(true);
    using _awake = keepAwake();
    try {
      const hooks = {
        signal: controller.signal,
        keepAs: RUN,
        onProgress: (progress: Progress) => this.#showProgress(progress),
        onPreview: (preview: Parameters<PreviewCanvas["show"]>[0]) => this.#preview.show(preview),
        onNote: (note: string) => console.info(note),
        onHeld: (isHeld: boolean) => {
          this.#isHeld = isHeld;
          this.#say(this.#doing);
        },
      };
      if (resume) {
        const options = this.#withFiles(resume.options);
        const clip = await generator.generate(options, { ...hooks, resume: resume.name });
        addResult(clip, clip.settings.lvsa ? "LVSA" : "Dense");
        return;
      }
      // As the form is now: it may be changed while the clips are being made.
      const options = this.#form.options();
      const second = this.#form.compare.checked ? this.#form.options(false) : undefined;
      if (second) this.#which = "LVSA: ";
      const first = await generator.generate(options, hooks);
      const comparison = second && addComparison();
      addResult(first, options.lvsa ? "LVSA" : "Dense", comparison);
      if (!second) return;
      this.#which = "Dense: ";
      const dense = await generator.generate({ ...second, seed: first.seed }, hooks);
      addResult(dense, "Dense", comparison);
    } catch (error) {
      if (!controller.signal.aborted) throw error;
      this.#say("Cancelled");
    } finally {
      this.#running = undefined;
      this.#which = "";
      this.#setBusy(false);
      await this.#offerKeptRun();
      this.#replan();
    }
  }

  /** Of a run that was kept its LoRAs are names: their files are those that are on the page now. */
  #withFiles(options: KeptRun["options"]): ClipOptions {
    const { loras = [], ...rest } = options as unknown as ClipOptions;
    const here = new Map(this.#form.loras.loras.map(({ file }) => [file.name, file]));
    const found = loras.map((lora) => ({ ...lora, file: here.get(lora.file.name) ?? lora.file }));
    return found.length > 0 ? { ...rest, loras: found } : rest;
  }

  #showProgress({ stage, what, done, total, secondsLeft }: Progress): void {
    this.#bar.max = total;
    this.#bar.value = done;
    const counts =
      stage === "denoise" || stage === "encode" ? ` ${done} of ${total}` : what ? ` (${what})` : "";
    const left = secondsLeft !== undefined && secondsLeft > 1 ? `, ${secondsInWords(secondsLeft)} left` : "";
    this.#say(`${this.#which}${STAGES[stage]}${counts}${left}`);
  }

  #setBusy(isBusy: boolean): void {
    element("progress", HTMLElement).hidden = !isBusy;
    element("generate", HTMLButtonElement).disabled = isBusy;
    for (const id of [...OPENERS, "go-on", "forget"]) element(id, HTMLButtonElement).disabled = isBusy;
    if (isBusy) {
      this.#bar.removeAttribute("value");
      this.#say("Starting");
      element("pause", HTMLButtonElement).focus();
    } else {
      this.#preview.clear();
      element("generate", HTMLButtonElement).focus();
    }
    this.#setPaused(false);
  }

  #setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    if (!isPaused) this.#isHeld = false;
    if (this.#running) this.#generator?.pause(isPaused);
    this.#pause.textContent = isPaused ? "Go on" : "Pause";
    this.#say(this.#doing);
  }

  #say(doing: string): void {
    this.#doing = doing;
    const pause = this.#isHeld ? "Paused." : "Pausing after this step…";
    this.#text.textContent = this.#isPaused ? `${doing}. ${pause}` : doing;
  }

  /** A run of this model that was cut off: by a crash, a closed tab, a cancel. */
  async #offerKeptRun(): Promise<void> {
    const runs = await keptRuns().catch((): KeptRun[] => []);
    const run = runs.find(({ name, model }) => name === RUN && model === this.#generator?.model.name);
    element("kept-run", HTMLElement).hidden = run === undefined;
    if (!run) return;
    element("kept-run-text", HTMLElement).textContent =
      `A clip was not finished: "${String(run.options.prompt)}", ${run.step} of ${run.steps} steps are done.${needed(run)}`;
    element("go-on", HTMLButtonElement).onclick = () => this.#try(() => this.#generate(run));
  }

  #try(work: () => Promise<void>): void {
    work().catch(showProblem);
  }
}

/** What has to be there before the run can go on. */
function needed({ options }: KeptRun): string {
  const { loras = [] } = options as unknown as ClipOptions;
  if (loras.length === 0) return "";
  return ` It was begun with ${loras.map(({ file }) => file.name).join(" and ")}: add the same first.`;
}

new Page().start();
if (import.meta.env.PROD && "serviceWorker" in navigator) {
  navigator.serviceWorker
    .register("./sw.js")
    .catch((error: unknown) => console.info("not available offline:", error));
}
