import { expect, it } from "vitest";
import { filesFolder } from "./file-folders.js";
import { droppedModel, pickedModel } from "./picked-model.js";

const picked = (path: string, text = path): File =>
  Object.assign(new File([text], path.split("/").at(-1)!), { webkitRelativePath: path });

it("finds the checkpoint in what was picked, by paths from its own folder", () => {
  const model = pickedModel([
    picked("downloads/wan/model_index.json"),
    picked("downloads/wan/vae/config.json"),
    picked("downloads/wan/copy/model_index.json"),
    picked("downloads/other.txt"),
  ]);
  expect(model).toMatchObject({ kind: "files", name: "wan" });
  expect(model.kind === "files" && model.files.map(({ path }) => path)).toEqual([
    "model_index.json",
    "vae/config.json",
    "copy/model_index.json",
  ]);
  expect(() => pickedModel([picked("a/b.safetensors")])).toThrow(
    expect.objectContaining({ code: "NO_CHECKPOINT", isUsage: true }),
  );
});

it("walks through dropped folders, a hundred names at a time", async () => {
  const file = (name: string) => ({
    isFile: true,
    name,
    file: (found: (file: File) => void) => found(new File([name], name)),
  });
  const directory = (name: string, children: object[]) => ({
    isFile: false,
    name,
    createReader: () => {
      const waiting = [...children];
      return { readEntries: (found: (some: object[]) => void) => found(waiting.splice(0, 100)) };
    },
  });
  const many = Array.from({ length: 250 }, (_, i) => file(`part-${i}.bin`));
  const entry = directory("wan", [file("model_index.json"), directory("transformer", many)]);
  const items = [{ kind: "string" }, { kind: "file", webkitGetAsEntry: () => entry }];
  const model = await droppedModel({ items, files: [] } as unknown as DataTransfer);
  expect(model.kind === "files" && model.files).toHaveLength(251);
});

it("reads picked files as any folder of model files", async () => {
  const file = new File(["{}"], "config.json");
  const folder = filesFolder([{ path: "vae/config.json", file }], "wan");
  expect(await folder.readText("vae/config.json")).toBe("{}");
  expect(await folder.list()).toEqual(["vae"]);
  expect(await folder.list("vae")).toEqual(["config.json"]);
  expect([await folder.exists("vae"), await folder.exists("vae/x")]).toEqual([true, false]);
  await expect(folder.readText("vae/x")).rejects.toMatchObject({ code: "NOT_FOUND", where: "wan/vae/x" });
  await expect(folder.open("../secret")).rejects.toMatchObject({ code: "NOT_FOUND" });
});
