import { afterAll, describe, it } from "vitest";
import { startRedis } from "../../../tools/testing/servers.js";
import { describeQueue } from "../../jobs/src/testing/describe-queue.js";
import { openBullMqQueue } from "./bullmq-queue.js";

const server = await startRedis();
afterAll(() => server?.stop());

let turn = 0;
if (server)
  describeQueue("a queue on Redis", async () => {
    const name = `test-${++turn}`;
    return {
      isShared: true,
      open: (options) => openBullMqQueue({ url: server.url, name, ...options }),
      clear: async () => {},
    };
  });
else
  describe("a queue on Redis", () => {
    it.skip("skipped: neither redis-server nor valkey-server is installed", () => {});
  });
