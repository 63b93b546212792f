/**
 * A thousand jobs of several owners, workers that die and servers that are killed: none is lost, none ends twice, none
 * is seen by another's key. The servers are processes, so that they can be killed as machines are.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, it } from "vitest";

const JOBS = Number(process.env.LVSA_LOAD_JOBS ?? 1000);
const KILLS = 5;
const OWNERS = ["red", "green", "blue"];
const MODEL = fileURLToPath(
  new URL("../../../fixtures/reference/cogvideox/pipeline/checkpoint", import.meta.url),
);

let folder = "";
let program = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lvsa-load-"));
  program = join(folder, "server.mjs");
  const here = fileURLToPath(new URL(".", import.meta.url));
  // A runner that takes milliseconds, dies now and then, and writes down every end it comes to.
  const contents = `
    import { serve } from "./serve.js";
    import { RunnerDiedError } from "@lvsa/jobs/node";
    import { appendFileSync, writeFileSync } from "node:fs";
    import { join } from "node:path";
    const [workspace, model, ends] = process.argv.slice(2);
    const runner = { async run(job, { folder }) {
      await new Promise((resolve) => setTimeout(resolve, 5 * Math.random()));
      if (Math.random() < 0.05) throw new RunnerDiedError("killed");
      writeFileSync(join(folder, "video.mp4"), job.id);
      appendFileSync(ends, job.id + "\\n");
      return { file: "video.mp4", bytes: job.id.length, width: 48, height: 32, frames: 5, fps: 8 };
    } };
    const stop = new AbortController();
    const server = await serve({ port: 0, models: new Map([["tiny", model]]), workspace, command: ["false"], runner,
      workers: 4, keys: ${JSON.stringify(OWNERS)}, limits: { maxOpenJobs: 100000 }, signal: stop.signal, log: { write() {} } });
    process.send(server.url);
    process.on("message", async () => { stop.abort(); await server.closed; process.exit(0); });`;
  await build({
    stdin: { contents, resolveDir: here, loader: "ts" },
    outfile: program,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    define: { __PACKAGE_VERSION__: '"test"' },
    alias: {
      "@lvsa/jobs/node": fileURLToPath(new URL("../../../packages/jobs/src/node.ts", import.meta.url)),
      "@lvsa/jobs": fileURLToPath(new URL("../../../packages/jobs/src/index.ts", import.meta.url)),
    },
    external: ["@lvsa/jobs-bullmq", "@lvsa/jobs-pgboss", "webgpu"],
    banner: { js: 'import { createRequire as $r } from "node:module"; const require = $r(import.meta.url);' },
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function start(): Promise<{ child: ChildProcess; url: string }> {
  const child = fork(program, [join(folder, "jobs"), MODEL, join(folder, "ends")], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const [url] = (await once(child, "message")) as [string];
  return { child, url };
}

interface Listed {
  readonly data: { readonly id: string; readonly status: string; readonly prompt: string }[];
  readonly has_more: boolean;
  readonly last_id: string;
}

async function listAll(url: string, key: string): Promise<Listed["data"]> {
  const all: Listed["data"] = [];
  for (let after = ""; ; ) {
    const answer = await fetch(`${url}/v1/videos?limit=100&order=asc${after && `&after=${after}`}`, {
      headers: { authorization: `Bearer ${key}` },
    });
    const page = (await answer.json()) as Listed;
    all.push(...page.data);
    if (!page.has_more) return all;
    after = page.last_id;
  }
}

it(`loses none of ${JOBS} jobs to ${KILLS} kills, and ends none twice`, { timeout: 240_000 }, async () => {
  await appendFile(join(folder, "ends"), "");
  let server = await start();
  const known = new Map<string, string>();
  // A request that a kill cut off may or may not have been taken; what was answered must be there for ever.
  const submit = async (n: number) => {
    const key = OWNERS[n % OWNERS.length]!;
    for (;;) {
      try {
        const answer = await fetch(`${server.url}/v1/videos`, {
          method: "POST",
          headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
          body: JSON.stringify({ prompt: `${key} ${n}` }),
        });
        expect(answer.status).toBe(200);
        known.set(((await answer.json()) as { id: string }).id, key);
        return;
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  };
  let next = 0;
  const clients = Array.from({ length: 8 }, async () => {
    while (next < JOBS) await submit(next++);
  });
  const killing = (async () => {
    for (let i = 0; i < KILLS; i++) {
      const target = ((i + 1) * JOBS) / (KILLS + 1);
      while (known.size < target) await new Promise((resolve) => setTimeout(resolve, 10));
      server.child.kill("SIGKILL");
      await once(server.child, "exit");
      server = await start();
    }
  })();
  await Promise.all([...clients, killing]);

  const deadline = Date.now() + 120_000;
  let lists: Listed["data"][] = [];
  do {
    await new Promise((resolve) => setTimeout(resolve, 200));
    lists = await Promise.all(OWNERS.map((key) => listAll(server.url, key)));
  } while (
    lists.flat().some(({ status }) => status === "queued" || status === "in_progress") &&
    Date.now() < deadline
  );

  const all = lists.flat();
  expect(new Set(all.map(({ status }) => status))).toEqual(new Set(["completed"]));
  const ids = new Set(all.map(({ id }) => id));
  expect(ids.size).toBe(all.length);
  expect([...known.keys()].filter((id) => !ids.has(id))).toEqual([]);
  for (const [i, key] of OWNERS.entries())
    expect(lists[i]!.filter(({ prompt }) => !prompt.startsWith(`${key} `))).toEqual([]);
  // A kill between the end of the work and its record makes that work be done again, once for each worker and kill at
  // the most; a record itself ends once.
  const ends = (await readFile(join(folder, "ends"), "utf8")).trim().split("\n");
  expect(new Set(ends).size).toBe(ids.size);
  expect(ends.length - ids.size).toBeLessThanOrEqual(4 * KILLS);
  server.child.send("stop");
  await once(server.child, "exit");
});
