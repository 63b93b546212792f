/** `lvsa score`: how much a finished video moves, flickers, drifts and blurs, without knowing what it should show. */
import { type ClipScore, scoreClip } from "@lvsa/quality";
import { readVideo } from "@lvsa/video/node";
import type { Command } from "commander";
import { listenForInterrupt } from "../generate/interrupt.js";
import type { CommandIo } from "../io.js";
import { addScoreOptions, parseScoreOptions } from "../options/score-options.js";
import { renderScores, scoreToJson } from "../score/render-score.js";

export function scoreCommand(program: Command, io: CommandIo): void {
  const command = program
    .command("score")
    .description("Motion, flicker, colour drift, sharpness, jumps and loops of finished videos");
  addScoreOptions(command).action(async (videos: string[], raw: Record<string, unknown>) => {
    const options = parseScoreOptions({ ...raw, videos });
    using interrupt = listenForInterrupt((line) => io.err(`${line}\n`));
    const scores: { path: string; decoder: string; score: ClipScore }[] = [];
    for (const path of options.videos) {
      const { signal } = interrupt;
      const video = await readVideo(path, {
        signal,
        ...(options.ffmpeg === undefined ? {} : { ffmpeg: options.ffmpeg }),
      });
      scores.push({ path, decoder: video.decoder, score: scoreClip(video) });
    }
    const objects = scores.map(({ path, decoder, score }) => scoreToJson(path, decoder, score));
    if (options.json) io.out(`${JSON.stringify(objects.length > 1 ? objects : objects[0], undefined, 2)}\n`);
    else io.out(renderScores(scores));
  });
}
