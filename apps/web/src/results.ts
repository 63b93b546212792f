/** Finished clips: playing, with what shaped them, to be downloaded; two that are compared play together. */
import type { Clip } from "@lvsa/web";
import { create, element } from "./dom.js";
import { bytesInWords, lengthInWords, percent, secondsInWords } from "./words.js";

/** A place for clips that are compared, side by side where there is room. */
export function addComparison(): HTMLElement {
  const place = create("div", { className: "pair" });
  element("results", HTMLElement).prepend(place);
  return place;
}

/** @param comparison where the clip goes; default: a place of its own, before all others */
export function addResult(clip: Clip, title: string, comparison?: HTMLElement): void {
  const url = URL.createObjectURL(clip.blob);
  const isPicture = clip.format === "png" || clip.format === "gif";
  const player = isPicture
    ? create("img", { src: url, alt: title, width: clip.width, height: clip.height })
    : create("video", {
        src: url,
        controls: true,
        loop: true,
        muted: true,
        autoplay: true,
        playsInline: true,
      });
  player.setAttribute("aria-label", `${title}: ${String(clip.settings.prompt ?? "")}`);
  const lvsa = clip.settings.lvsa as { attended_fraction: number } | null;
  const facts: [string, string][] = [
    ["Length", lengthInWords(clip.frameCount, clip.fps)],
    ["Attention", lvsa ? `LVSA, ${percent(lvsa.attended_fraction)} attended` : "dense"],
    ["Sampling", samplingOf(clip.settings)],
    ...(clip.settings.loras ? [["LoRAs", String(clip.settings.loras)] satisfies [string, string]] : []),
    ["Steps took", secondsInWords(clip.seconds.denoise)],
    ["Seed", String(clip.seed)],
    ["File", `${clip.format}, ${bytesInWords(clip.blob.size)}, settings inside`],
  ];
  const list = create(
    "dl",
    {},
    ...facts.flatMap(([name, value]) => [create("dt", {}, name), create("dd", {}, value)]),
  );
  const name = `${fileName(String(clip.settings.prompt ?? "clip"))}-${clip.seed}${lvsa ? "-lvsa" : ""}.${clip.format}`;
  const article = create(
    "article",
    { className: "card" },
    create("h2", {}, title),
    create("p", { className: "quiet" }, String(clip.settings.prompt ?? "")),
    player,
    list,
    ...(clip.notes.length > 0 ? [notesOf(clip)] : []),
  );
  const remove = create("button", { type: "button", textContent: "Remove" });
  remove.addEventListener("click", () => {
    URL.revokeObjectURL(url);
    article.remove();
    if (comparison?.childElementCount === 0) comparison.remove();
  });
  article.append(
    create(
      "div",
      { className: "row" },
      create("a", { className: "button primary", href: url, download: name }, "Download"),
      remove,
    ),
  );
  if (comparison) {
    comparison.append(article);
    playTogether(Array.from(comparison.querySelectorAll("video")));
  } else element("results", HTMLElement).prepend(article);
  // For whoever embeds the page: the clip itself.
  article.dispatchEvent(new CustomEvent("lvsa-clip", { bubbles: true, detail: clip }));
}

function notesOf({ notes }: Clip): HTMLElement {
  const summary = create("summary", {}, notes.length === 1 ? "1 note" : `${notes.length} notes`);
  const items = notes.map((note) => create("p", {}, note));
  return create("details", { className: "quiet" }, summary, ...items);
}

function samplingOf(settings: Clip["settings"]): string {
  const { num_inference_steps: steps, guidance_scale: guidance, preset } = settings;
  const isGuided = Number(guidance) > 1;
  return `${steps} steps${isGuided ? `, guidance ${guidance}` : ""}${preset ? ` (${preset})` : ""}`;
}

/** What is done to one player is done to the other. */
function playTogether(players: readonly HTMLVideoElement[]): void {
  if (players.length < 2) return;
  for (const leader of players) {
    const others = players.filter((one) => one !== leader);
    const align = () => {
      for (const one of others)
        if (Math.abs(one.currentTime - leader.currentTime) > 0.05) one.currentTime = leader.currentTime;
    };
    leader.addEventListener("play", () => {
      align();
      for (const one of others) one.play().catch(() => undefined);
    });
    leader.addEventListener("pause", () => {
      for (const one of others) one.pause();
    });
    leader.addEventListener("seeked", align);
  }
  for (const one of players) one.currentTime = 0;
}

function fileName(prompt: string): string {
  return (
    prompt
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, "-")
      .replace(/^-|-$/g, "")
      .slice(0, 60) || "clip"
  );
}
