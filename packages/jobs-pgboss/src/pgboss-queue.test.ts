import { afterAll, describe, it } from "vitest";
import { startPostgres } from "../../../tools/testing/servers.js";
import { describeQueue } from "../../jobs/src/testing/describe-queue.js";
import { openPgBossQueue } from "./pgboss-queue.js";

const server = await startPostgres();
afterAll(() => server?.stop());

let turn = 0;
if (server)
  describeQueue("a queue on PostgreSQL", async () => {
    const schema = `test_${++turn}`;
    return {
      isShared: true,
      open: (options) => openPgBossQueue({ url: server.url, schema, pollMs: 50, ...options }),
      clear: async () => {},
    };
  });
else
  describe("a queue on PostgreSQL", () => {
    it.skip("skipped: no PostgreSQL server is installed, or none that this user may start", () => {});
  });
