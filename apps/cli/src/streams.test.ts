import { describe, expect, it } from "vitest";
import { nodeTooOld } from "./node-version.js";
import { type OutputStream, TolerantOutput } from "./streams.js";

function stream(write: (text: string) => void = () => {}) {
  const listeners: ((error: Error) => void)[] = [];
  const fake = {
    writableLength: 0,
    write,
    on: (_event: "error", listener: (error: Error) => void) => listeners.push(listener),
    fail: (code: string) => {
      for (const listener of listeners) listener(Object.assign(new Error(code), { code }));
    },
  };
  return fake satisfies OutputStream;
}

describe("an output that fails", () => {
  it("is not written to again, whether it fails at once or later", () => {
    const texts: string[] = [];
    const later = stream((text) => texts.push(text));
    const out = new TolerantOutput(later);
    out.write("a");
    later.fail("EPIPE");
    out.write("b");
    expect(texts).toEqual(["a"]);
    expect(out.error?.code).toBe("EPIPE");
    let tries = 0;
    const full = new TolerantOutput(
      stream(() => {
        tries++;
        throw Object.assign(new Error("full"), { code: "ENOSPC" });
      }),
    );
    full.write("a");
    full.write("b");
    expect([tries, full.error?.code]).toEqual([1, "ENOSPC"]);
  });

  it("leaves progress out first where the reader sleeps, and everything before memory runs out", () => {
    const texts: string[] = [];
    const sleeping = stream((text) => texts.push(text));
    const out = new TolerantOutput(sleeping);
    for (const [waiting, label] of [
      [0, "none"],
      [2 << 20, "many"],
      [65 << 20, "too many"],
    ] as const) {
      sleeping.writableLength = waiting;
      out.write(`text ${label}`);
      out.write(`progress ${label}`, "progress");
    }
    expect(texts).toEqual(["text none", "progress none", "text many"]);
  });

  it("is waited for as long as somebody reads", async () => {
    const slow = stream();
    const out = new TolerantOutput(slow);
    slow.writableLength = 5;
    const timer = setInterval(() => {
      slow.writableLength -= 1;
    }, 15);
    await out.drain(200);
    clearInterval(timer);
    expect(slow.writableLength).toBe(0);
    slow.writableLength = 5;
    await out.drain(20);
    expect(slow.writableLength).toBe(5);
  });
});

it("a Node that is too old is told so", () => {
  for (const version of ["18.20.4", "20.18.3", "16.0.0", "4.0.0"]) {
    expect(nodeTooOld(version)).toMatch(new RegExp(`20.19 or newer, this is Node ${version}`));
  }
  for (const version of ["20.19.0", "20.20.2", "22.0.0", "24.1.0", "100.0.0"]) {
    expect(nodeTooOld(version)).toBeUndefined();
  }
});
