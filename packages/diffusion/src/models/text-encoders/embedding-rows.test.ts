import { encodeSafetensors, memorySource, openSafetensors } from "@lvsa/runtime";
import { expect, it } from "vitest";
import { embeddingRows } from "./embedding-rows.js";

it("reads the rows that ids name, and refuses ids outside of the vocabulary by name", async () => {
  const data = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
  const file = encodeSafetensors({ "embed.weight": { dtype: "F32", shape: [3, 2], data } });
  const source = await openSafetensors(memorySource(file, "file.safetensors"));
  expect([...(await embeddingRows(source, "embed.weight", [2, 0, 2]))]).toEqual([5, 6, 1, 2, 5, 6]);
  for (const id of [3, -1, 0.5, Number.NaN, 2 ** 40]) {
    await expect(embeddingRows(source, "embed.weight", [0, id])).rejects.toMatchObject({
      code: "BAD_TOKEN_ID",
      message: `token id ${id} is outside of embed.weight with 3 rows`,
    });
  }
});
