import { memoryFolder } from "@lvsa/runtime";
import { describe, expect, it } from "vitest";
import { readJson, readModelIndex, readSchedulerConfig, readSettings } from "./checkpoint-folder.js";

const folderOf = (text: string) =>
  memoryFolder({ "model_index.json": text, "scheduler/scheduler_config.json": text }, "model");
const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);

describe("files of a checkpoint", () => {
  it("nest as deep as anybody needs, and no deeper", async () => {
    expect(await readJson(folderOf(nested(60)), "model_index.json")).toBeDefined();
    for (const text of [nested(70), nested(5000), `${'{"a":'.repeat(3000)}1${"}".repeat(3000)}`]) {
      await expect(readJson(folderOf(text), "model_index.json")).rejects.toMatchObject({
        code: "BAD_JSON",
        message: "the file nests deeper than 64 levels",
        where: "model/model_index.json",
        fix: expect.any(String),
      });
    }
  });

  it("hold settings by name", async () => {
    for (const text of ["null", "7", "[]", '"x"', "true"]) {
      const folder = folderOf(text);
      await expect(readSettings(folder, "model_index.json")).rejects.toMatchObject({ code: "BAD_CONFIG" });
      await expect(readModelIndex(folder)).rejects.toMatchObject({
        code: "NOT_A_CHECKPOINT",
        where: "model/model_index.json",
        fix: expect.any(String),
      });
      await expect(readSchedulerConfig(folder, { _class_name: "WanPipeline" })).rejects.toMatchObject({
        code: "BAD_CONFIG",
        where: "model/scheduler/scheduler_config.json",
      });
    }
  });
});
