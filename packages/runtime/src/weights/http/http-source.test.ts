/** Every answer of a server that fails, lies or stands still: the right bytes or a named error, never other bytes. */
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { AbortError } from "../../errors.js";
import { httpFolder } from "../folder.js";
import { openSafetensors } from "../safetensors-weights.js";
import { encodeSafetensors, type TensorToWrite } from "../safetensors-writer.js";
import { addressForMessages } from "./address.js";
import type { HttpSourceOptions } from "./exchange.js";
import { httpSource } from "./http-source.js";
import { type Handler, type LyingServer, lyingServer, rangeOf, serve } from "./testing/lying-server.js";

/** 40 tensors of 16 KiB: well beyond what the first request brings. */
const tensors: Record<string, TensorToWrite> = {};
for (let i = 0; i < 40; i++)
  tensors[`t${String(i).padStart(2, "0")}`] = {
    dtype: "F32",
    shape: [4096],
    data: Float32Array.from({ length: 4096 }, (_, at) => i * 4096 + at),
  };
const file = encodeSafetensors(tensors);
const other = file.map((byte, at) => (at > file.length - 100_000 ? byte ^ 0x55 : byte));
const good = serve(file);

let server: LyingServer;
beforeAll(async () => {
  server = await lyingServer();
});
afterAll(() => server.close());
beforeEach(() => {
  server.requests = 0;
});

const quick: HttpSourceOptions = { retryDelay: 1 };
/** Of servers that fall silent alone: a busy machine may be this slow with an answer too. */
const IDLE = { idleTimeout: 200 };

/** Reads every tensor in order and says whether it is right. */
async function readAll(options: HttpSourceOptions = {}): Promise<string> {
  const source = await httpSource(`${server.base}/m.safetensors`, { ...quick, ...options });
  const weights = await openSafetensors(source);
  try {
    for (const [name, { data }] of Object.entries(tensors))
      expect(new Float32Array((await weights.read(name)).buffer), name).toEqual(data);
    return "right";
  } finally {
    await weights.close();
  }
}

type Failure = { code: string; message: string; fix?: string; where?: string };
const said = (promise: Promise<unknown>) =>
  promise.then(String, ({ code, message, fix, where }: Failure) => {
    // Every failure names the file and what to do.
    expect({ fix, where }).toEqual({ fix: expect.any(String), where: expect.stringContaining("http") });
    return `${code}: ${message}`;
  });

/** Lies about parts beyond `from` only. */
const beyond =
  (from: number, lie: (first: number, last: number) => Handler): Handler =>
  (request, response) => {
    const [first, last] = rangeOf(request)!;
    return (first < from ? good : lie(first, last))(request, response);
  };
const part =
  (headers: Record<string, string>, body: Uint8Array): Handler =>
  (_, response) =>
    void response.writeHead(206, headers).end(body);
const stated = (first: number, last: number) => ({
  "content-range": `bytes ${first}-${last}/${file.length}`,
});

/** The first request brings 64 KiB. */
const LATER = 65_536;
const lies: readonly (readonly [string, () => Handler, RegExp, typeof IDLE?])[] = [
  [
    "200 instead of 206",
    () => (_, response) => void response.writeHead(200, { "content-length": file.length }).end(file),
    /^READ_FAILED: .*does not answer range requests \(HTTP 200/,
  ],
  [
    "200 later",
    () => beyond(LATER, () => (_, response) => void response.writeHead(200).end(file)),
    /^READ_FAILED: .*range requests any more/,
  ],
  [
    "another place than asked for",
    () => beyond(LATER, (a, b) => part(stated(a - 64, b - 64), file.subarray(a - 64, b - 63))),
    /^READ_FAILED: bytes \d+ to \d+ were asked for/,
  ],
  [
    "another end than asked for",
    () => beyond(LATER, (a, b) => part(stated(a, b - 1), file.subarray(a, b))),
    /^READ_FAILED: bytes \d+ to \d+ were asked for/,
  ],
  [
    "no Content-Range, from byte 0",
    () => beyond(LATER, (a, b) => part({}, file.subarray(0, b - a + 1))),
    /^READ_FAILED: .*content-range ""/,
  ],
  [
    "a Content-Range without a range",
    () =>
      beyond(LATER, (a, b) => part({ "content-range": `bytes */${file.length}` }, file.subarray(a, b + 1))),
    /^READ_FAILED: .*content-range "bytes \*\//,
  ],
  [
    "more bytes than stated",
    () =>
      beyond(LATER, (a, b) => part(stated(a, b), Buffer.concat([file.subarray(a, b + 1), Buffer.alloc(9)]))),
    /^READ_FAILED: the server sent more than \d+ bytes/,
  ],
  [
    "fewer bytes than stated",
    () => beyond(LATER, (a, b) => part(stated(a, b), file.subarray(a, b))),
    /^READ_FAILED: the server sent \d+ of \d+ bytes/,
  ],
  [
    "parts of a compressed file",
    () => beyond(LATER, (a, b) => part({ ...stated(a, b), "content-encoding": "gzip" }, gzipSync(file))),
    /^READ_FAILED: the server compresses/,
  ],
  [
    "a total beyond what counts",
    () => part({ "content-range": "bytes 0-65535/99999999999999999999" }, file.subarray(0, 65_536)),
    /^READ_FAILED: .*range requests/,
  ],
  [
    "another size midway",
    () =>
      beyond(LATER, (a, b) => part({ "content-range": `bytes ${a}-${b}/7777777` }, file.subarray(a, b + 1))),
    /^READ_FAILED: the file had \d+ bytes and now has 7777777/,
  ],
  [
    "416 for everything",
    () => (_, response) => void response.writeHead(416, { "content-range": `bytes */${file.length}` }).end(),
    /^READ_FAILED: .*HTTP 416/,
  ],
  ["404", () => (_, response) => void response.writeHead(404).end(), /^NOT_FOUND: .*HTTP 404/],
  ["403", () => (_, response) => void response.writeHead(403).end(), /^NO_ACCESS: .*HTTP 403/],
  ["500", () => (_, response) => void response.writeHead(500).end(), /^READ_FAILED: .*HTTP 500/],
  [
    "a page for a file that is missing",
    () => (_, response) => void response.writeHead(200, { "content-type": "text/html" }).end("<html>"),
    /^NOT_FOUND: the server answers with a web page/,
  ],
  [
    "a page in parts",
    () => (_, response) =>
      void response
        .writeHead(206, { "content-type": "text/html; charset=utf-8", ...stated(0, 65_535) })
        .end("<html>"),
    /^NOT_FOUND: the server answers with a web page/,
  ],
  [
    "no connection",
    () => (request) => void request.socket.destroy(),
    /^READ_FAILED: the server can not be reached/,
  ],
  ["no answer", () => () => undefined, /^READ_FAILED: the server sent nothing for 0.2 s/, IDLE],
  [
    "headers, then nothing",
    () => (_, response) => {
      response.writeHead(206, stated(0, 65_535));
      response.flushHeaders();
    },
    /^READ_FAILED: the server sent nothing for 0.2 s/,
    IDLE,
  ],
  [
    "a byte now and then",
    () => (_, response) => {
      response.writeHead(206, stated(0, 65_535));
      const timer = setInterval(() => (response.destroyed ? clearInterval(timer) : response.write("x")), 20);
    },
    /^READ_FAILED: the server sent nothing for 0.2 s/,
    IDLE,
  ],
  [
    "a redirect to itself",
    () => (request, response) => void response.writeHead(302, { location: request.url! }).end(),
    /^READ_FAILED: .*(can not be reached|redirects more)/,
  ],
  [
    "a redirect to a local file",
    () => (_, response) => void response.writeHead(302, { location: "file:///etc/passwd" }).end(),
    /^READ_FAILED: .*(can not be reached|no web address)/,
  ],
];

describe.each([undefined, 0])("a lie is told as one (readAhead %s)", (readAhead) => {
  const options = readAhead === undefined ? {} : { readAhead };
  for (const [title, make, message, settings] of lies) {
    it(title, async () => {
      server.handler = make();
      expect(await said(readAll({ ...options, ...settings, retries: 1 }))).toMatch(message);
    });
  }

  it.each([
    ["a new ETag", { etag: '"1"' }, { etag: '"2"' }, /ETag is not the one/],
    ["an ETag that is gone", { etag: '"1"' }, {}, /ETag is not the one/],
    ["a new weak ETag", { etag: 'W/"1"' }, { etag: 'W/"2"' }, /ETag is not the one/],
    [
      "a new date",
      { "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT" },
      { "last-modified": "Tue, 02 Jan 2024 00:00:00 GMT" },
      /was modified after/,
    ],
  ])("a file replaced midway, same size: %s", async (_, before, after, message) => {
    server.handler = (request, response) =>
      rangeOf(request)![0] < 200_000
        ? serve(file, before)(request, response)
        : serve(other, after as Record<string, string>)(request, response);
    // Without any mark of a version, one large read would not show it; every other answer must.
    expect(await said(readAll({ ...options, readAhead: 65_536 }))).toMatch(message);
  });

  it("is right through broken connections, short answers, 503 and 429", async () => {
    const attempts = new Map<number, number>();
    server.handler = (request, response) => {
      const [first, last] = rangeOf(request)!;
      const count = (attempts.get(first) ?? 0) + 1;
      attempts.set(first, count);
      if (count % 5 === 1) return void response.writeHead(503).end();
      if (count % 5 === 2) return void request.socket.destroy();
      if (count % 5 === 3) return void response.writeHead(429, { "retry-after": "0" }).end();
      if (count % 5 === 4) {
        response.writeHead(206, { ...stated(first, Math.min(last, file.length - 1)) });
        response.write(file.subarray(first, first + 100));
        return void setTimeout(() => response.destroy(), 5);
      }
      return good(request, response);
    };
    expect(await readAll({ ...options, retries: 4 })).toBe("right");
  });
});

describe("how long a server may take", () => {
  it("waits as long as Retry-After asks, but not an hour", async () => {
    server.handler = (_, response) => void response.writeHead(429, { "retry-after": "3600" }).end();
    expect(await said(readAll())).toMatch(
      /^READ_FAILED: the server answered HTTP 429 and asks to wait 3600 s/,
    );
    expect(server.requests).toBe(1);
    const date = new Date(Date.now() + 7_200_000).toUTCString();
    server.handler = (_, response) => void response.writeHead(503, { "retry-after": date }).end();
    expect(await said(readAll())).toMatch(/HTTP 503 and asks to wait 7\d\d\d s/);
    expect(server.requests).toBe(2);
  });

  it("gives up after the allowed attempts", async () => {
    server.handler = (_, response) => void response.writeHead(503).end();
    await said(readAll({ retries: 2 }));
    expect(server.requests).toBe(3);
    await said(readAll({ retries: 0 }));
    expect(server.requests).toBe(4);
  });

  it.each([
    ["while nothing comes", () => undefined],
    [
      "in the pause before another attempt",
      (_: unknown, response: { writeHead(n: number): { end(): void } }) => response.writeHead(503).end(),
    ],
  ] as [string, Handler][])("stops when the caller says so, %s", async (_, handler) => {
    server.handler = handler;
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 30);
    const options = { signal: controller.signal, retryDelay: 1e6, idleTimeout: 1e6 };
    await expect(readAll(options)).rejects.toBeInstanceOf(AbortError);
  });
});

describe("secrets", () => {
  it("of the address are sent and never said", async () => {
    let seen: string | undefined;
    server.handler = (request, response) => {
      seen = request.headers.authorization;
      response.writeHead(404).end();
    };
    const { host } = new URL(server.base);
    for (const address of [`http://user:hunter2@${host}/m?sig=hunter2`, `http://hunter2@${host}/m#hunter2`]) {
      const failure = await httpSource(address, quick).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: "NOT_FOUND", where: `http://${host}/m` });
      expect(JSON.stringify(failure)).not.toContain("hunter2");
      expect(seen).toMatch(/^Basic /);
    }
    expect(addressForMessages("//user:pw@host/a?b")).toBe("//host/a");
    const bad = await httpSource("http://user:hunter2@[/m?sig=hunter2").catch((error: unknown) => error);
    expect(bad).toMatchObject({ code: "BAD_ADDRESS" });
    expect(`${bad} ${(bad as Error).cause}`).not.toContain("hunter2");
  });

  it("in headers do not follow to another host", async () => {
    const seen: string[] = [];
    server.handler = (request, response) => {
      const isFirst = request.headers.host!.startsWith("127");
      seen.push(
        `${isFirst ? "first" : "other"} ${request.headers["x-token"]} ${request.headers.authorization}`,
      );
      if (request.url === "/m.safetensors") return void response.writeHead(307, { location: "/moved" }).end();
      if (isFirst) return void response.writeHead(302, { location: `${server.otherHost}/x?signed` }).end();
      return good(request, response);
    };
    const headers = { "X-Token": "secret", Authorization: "Bearer secret" };
    expect(await readAll({ headers })).toBe("right");
    expect(new Set(seen)).toEqual(new Set(["first secret Bearer secret", "other undefined undefined"]));
  });
});

describe("a folder on a server", () => {
  const folder = (options: HttpSourceOptions = {}) =>
    httpFolder(`${server.base}/wan`, { ...quick, ...options });

  it("takes the page of an application for no file", async () => {
    server.handler = (_, response) =>
      void response.writeHead(200, { "content-type": "text/html" }).end("<html>");
    expect(await folder().exists("model.safetensors")).toBe(false);
    expect(await said(folder().readText("config.json"))).toMatch(/^NOT_FOUND: .*web page/);
    server.handler = (_, response) => void response.writeHead(200).end(" <!DOCTYPE html><title>");
    expect(await said(folder().readText("config.json"))).toMatch(/^NOT_FOUND: .*web page/);
  });

  it("reads small files whole or not at all", async () => {
    server.handler = (_, response) => void response.writeHead(416).end("{}");
    expect(await said(folder().readText("config.json"))).toMatch(/^READ_FAILED: .*HTTP 416/);
    server.handler = (_, response) => {
      response.writeHead(200);
      const timer = setInterval(
        () => (response.destroyed ? clearInterval(timer) : response.write(Buffer.alloc(4e6))),
        1,
      );
    };
    expect(await said(folder().readText("config.json"))).toMatch(
      /^TOO_LARGE: the file has more than 16777216/,
    );
    for (const headers of [{ "content-length": "100" }, {}]) {
      server.handler = (_, response) => {
        response.writeHead(200, headers);
        response.write("{");
        setTimeout(() => response.destroy(), 5);
      };
      expect(await said(folder({ retries: 1 }).readText("config.json"))).toMatch(
        /^READ_FAILED: the connection broke/,
      );
    }
    server.handler = serve(gzipSync("{}"), { "content-encoding": "gzip" });
    expect(await folder().readText("config.json")).toBe("{}");
  });
});

describe("reading ahead", () => {
  it("reads many tensors with few requests, and never more than it may hold", async () => {
    let [open, most] = [0, 0];
    server.handler = (request, response) => {
      const [first, last] = rangeOf(request)!;
      open += Math.min(last, file.length - 1) - first + 1;
      most = Math.max(most, open);
      response.on("close", () => {
        open -= Math.min(last, file.length - 1) - first + 1;
      });
      good(request, response);
    };
    expect(await readAll()).toBe("right");
    // 64 KiB with the header, 256 KiB, and the rest of 640 KiB.
    expect(server.requests).toBeLessThanOrEqual(4);
    server.requests = 0;
    expect(await readAll({ readAhead: 128 * 1024 })).toBe("right");
    // Windows of 64 KiB, and no more than two of them on their way.
    expect(server.requests).toBeLessThanOrEqual(12);
    expect(most).toBeLessThanOrEqual(640 * 1024);
  });

  it("asks for no more than what is read where the reader jumps about", async () => {
    const asked: number[] = [];
    server.handler = (request, response) => {
      const [first, last] = rangeOf(request)!;
      asked.push(last - first + 1);
      good(request, response);
    };
    const source = await httpSource(`${server.base}/m`, quick);
    for (const at of [400_000, 100_000, 600_000, 200_000])
      expect(await source.read(at, 1000)).toEqual(file.slice(at, at + 1000));
    // The first read and each jump: the head, then exactly what was asked for, or one small window.
    expect(asked.slice(1).filter((length) => length > 256 * 1024)).toEqual([]);
    await source.close();
    await expect(source.read(500_000, 1)).rejects.toMatchObject({ code: "READ_FAILED" });
  });

  it("gives every read the bytes of its place, whatever the order", async () => {
    server.handler = good;
    const source = await httpSource(`${server.base}/m`, { ...quick, readAhead: 100_000 });
    let state = 1;
    const random = (below: number) => {
      state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5;
      return (state >>> 0) % below;
    };
    let at = 0;
    const reads = Array.from({ length: 300 }, () => {
      // Two of three go on where the last one ended, some after a gap.
      if (random(3) === 0) at = random(file.length);
      else if (random(4) === 0) at += random(5000);
      const length = Math.min(random(40_000), Math.max(0, file.length - at));
      const start = Math.min(at, file.length);
      at = start + length;
      return [start, length] as const;
    });
    for (let i = 0; i < reads.length; i += 3) {
      const some = reads.slice(i, i + 1 + (i % 3));
      const parts = await Promise.all(some.map(([start, length]) => source.read(start, length)));
      parts.forEach((bytes, k) => {
        expect(Buffer.compare(bytes, file.subarray(some[k]![0], some[k]![0] + some[k]![1]))).toBe(0);
      });
    }
    await source.close();
  });
});
