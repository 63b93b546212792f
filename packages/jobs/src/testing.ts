export { describeQueue, type QueueFixture } from "./testing/describe-queue.js";
