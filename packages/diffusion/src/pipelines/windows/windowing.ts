/** What a pipeline needs to run in windows: loaded where they are asked for. */
export { planWindows, seenFrames, windowNotes } from "./window-options.js";
export { WindowedRun } from "./windowed-run.js";
