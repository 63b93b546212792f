export { type BullMqOptions, openBullMqQueue } from "./bullmq-queue.js";
