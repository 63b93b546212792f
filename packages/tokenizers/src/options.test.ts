import { silentlyMisspelt } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { createTokenizer } from "./tokenizer.js";

const model = { encodeText: () => [1, 2], tokenId: () => 0, prefix: [], suffix: [] };
const tokenizer = createTokenizer(model, { padToken: "p", renderChat: () => "chat" });

it.each([
  ["encode", "maxLength padding addSpecialTokens".split(" "), (o: never) => tokenizer.encode("a", o)],
  ["renderChat", ["addGenerationPrompt", "variables"], (o: never) => tokenizer.renderChat([], o)],
])("%s refuses misspelt options", async (_, names, call) => {
  expect(await silentlyMisspelt({ names, call })).toEqual([]);
});

it("takes right ones", () => {
  expect([
    ...tokenizer.encode("a", { maxLength: 3, padding: "maxLength", addSpecialTokens: false }).ids,
  ]).toEqual([1, 2, 0]);
  expect(tokenizer.renderChat([], { addGenerationPrompt: true, variables: {} })).toBe("chat");
});
