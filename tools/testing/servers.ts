/** Real servers of a test's own: started in a temporary folder, gone afterwards. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { chownSync, existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TestServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** Redis, or Valkey, which speaks the same. Undefined when neither is installed. */
export async function startRedis(): Promise<TestServer | undefined> {
  const program = ["redis-server", "valkey-server"].find(
    (name) => spawnSync(name, ["--version"]).status === 0,
  );
  if (!program) return undefined;
  const folder = await mkdtemp(join(tmpdir(), "lvsa-redis-"));
  const port = await freePort();
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes"];
  const server = spawn(program, args, { stdio: "ignore" });
  await answering(port);
  return {
    url: `redis://127.0.0.1:${port}`,
    stop: async () => {
      server.kill("SIGKILL");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Undefined when no server is installed, or this is root and there is no user `postgres` (the server refuses root). */
export async function startPostgres(): Promise<TestServer | undefined> {
  const bin = postgresPrograms();
  const isRoot = process.getuid?.() === 0;
  if (bin === undefined || (isRoot && spawnSync("id", ["postgres"]).status !== 0)) return undefined;
  const asServer = (program: string, args: readonly string[]) => {
    const command = [join(bin, program), ...args];
    if (isRoot) execFileSync("runuser", ["-u", "postgres", "--", ...command], { stdio: "pipe" });
    else execFileSync(command[0]!, command.slice(1), { stdio: "pipe" });
  };
  const folder = await mkdtemp(join(tmpdir(), "lvsa-postgres-"));
  if (isRoot) {
    const id = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
    chownSync(folder, id("-u"), id("-g"));
  }
  const data = join(folder, "data");
  asServer("initdb", ["-D", data, "-A", "trust", "-U", "test", "--no-sync"]);
  // A socket in the folder: no port that somebody else could have.
  const options = `-k ${folder} -c listen_addresses= -c fsync=off`;
  asServer("pg_ctl", ["-D", data, "-w", "-l", join(folder, "log"), "-o", options, "start"]);
  return {
    url: `postgres://test@/postgres?host=${encodeURIComponent(folder)}`,
    stop: async () => {
      asServer("pg_ctl", ["-D", data, "-m", "immediate", "stop"]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Debian keeps the server's programs beside the path. */
function postgresPrograms(): string | undefined {
  const base = "/usr/lib/postgresql";
  const versions = existsSync(base) ? readdirSync(base).sort((a, b) => Number(b) - Number(a)) : [];
  return versions.map((version) => join(base, version, "bin")).find((bin) => existsSync(join(bin, "initdb")));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function answering(port: number): Promise<void> {
  for (let turn = 0; turn < 200; turn++) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
      socket.once("close", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing answers at port ${port}`);
}
