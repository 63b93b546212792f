export { type CliRunnerOptions, cliRunner, generateArguments, PREVIEW_FILE } from "./node/cli-runner.js";
export { type FileQueueOptions, openFileQueue } from "./node/file-queue.js";
export {
  type Runner,
  type RunnerContext,
  RunnerDiedError,
  type RunnerReport,
  runWorker,
  type WorkerOptions,
} from "./node/worker.js";
