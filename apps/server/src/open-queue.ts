/** The queue that an address means; what it needs besides is loaded only then. */
import type { JobQueue, QueueOptions } from "@lvsa/jobs";
import { openFileQueue } from "@lvsa/jobs/node";
import { ConfigError, UsageError } from "@lvsa/runtime/errors";
import { importOptional } from "@lvsa/runtime/node-import";

/**
 * @param address `redis://…`, `rediss://…`, `postgres://…`, `postgresql://…`; undefined: a queue in `folder`, of this
 *   process alone
 * @throws UsageError `QUEUE_ADDRESS`; ConfigError `QUEUE_PACKAGE` when the package for it is not installed
 */
export async function openQueue(
  address: string | undefined,
  folder: string,
  options: QueueOptions & { readonly onNotice?: (line: string) => void } = {},
): Promise<JobQueue> {
  const { onNotice, ...queue } = options;
  if (address === undefined) return openFileQueue({ folder, ...queue, ...(onNotice ? { onNotice } : {}) });
  const scheme = /^([a-z]+):\/\//.exec(address)?.[1];
  switch (scheme) {
    case "redis":
    case "rediss": {
      const name = "@lvsa/jobs-bullmq";
      const found = await importOptional<typeof import("@lvsa/jobs-bullmq")>(
        name,
        () => import("@lvsa/jobs-bullmq"),
      );
      if (!found.module) throw missing(name, found.cause);
      return found.module.openBullMqQueue({ url: address, ...queue });
    }
    case "postgres":
    case "postgresql": {
      const name = "@lvsa/jobs-pgboss";
      const found = await importOptional<typeof import("@lvsa/jobs-pgboss")>(
        name,
        () => import("@lvsa/jobs-pgboss"),
      );
      if (!found.module) throw missing(name, found.cause);
      return found.module.openPgBossQueue({ url: address, ...queue });
    }
  }
  // The address may hold a password.
  throw new UsageError(
    "QUEUE_ADDRESS",
    `no queue is known for ${scheme ? `${scheme}://…` : "such an address"}`,
    {
      fix: "Give redis://…, rediss://…, postgres://… or postgresql://…, or none for a queue in a folder.",
    },
  );
}

function missing(name: string, cause: unknown): ConfigError {
  return new ConfigError("QUEUE_PACKAGE", `${name} is not installed`, {
    fault: "run",
    fix: `npm install ${name}`,
    cause,
  });
}
