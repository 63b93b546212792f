/** Options of the server: misspelt ones are refused before a port, a folder or a queue is touched. */
import { silentlyMisspelt } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { createApp } from "./app.js";
import { serve, work } from "./serve.js";

const working =
  "models workspace queue workers command generateArguments runner timeLimitMs leaseMs signal log";
const right = { models: new Map(), workspace: "/nowhere", command: ["lvsa"], signal: AbortSignal.abort() };
const app = { queue: {}, models: [], workspace: "/nowhere" };
const limits = "maxPromptLength maxPixels maxSteps maxBodyBytes maxOpenJobs".split(" ");

it.each([
  ["serve", [...working.split(" "), "host", "port", "keys", "limits"], serve, right],
  ["the limits of serve", limits, (o: never) => serve({ ...right, limits: o } as never), {}],
  ["work", working.split(" "), work, right],
  ["createApp", "queue models workspace keys limits version onError".split(" "), createApp, app],
  ["the limits of createApp", limits, (o: never) => createApp({ ...app, limits: o } as never), {}],
])("%s refuses misspelt options", async (_, names, call, given) => {
  expect(await silentlyMisspelt({ names, call, right: given })).toEqual([]);
});

it("takes right ones, and refuses such of another kind", async () => {
  expect(() => createApp({ ...app, limits: { maxSteps: 3 } } as never)).not.toThrow();
  expect(() => createApp({ ...app, limits: { maxSteps: "3" } } as never)).toThrow(
    "maxSteps: expected a number",
  );
  // The next thing that is wrong with it.
  await expect(serve({ ...right, port: 0, workers: 0 } as never)).rejects.toMatchObject({
    code: "NO_MODELS",
  });
  await expect(serve({ ...right, port: "0" } as never)).rejects.toThrow("port: expected a number");
});
