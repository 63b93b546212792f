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
  for (const files of [[], [picked("notes.txt")], [picked("a/config.json"), picked("a/b.png")]])
    expect(() => pickedModel(files)).toThrow(
      expect.objectContaining({
        code: "NO_CHECKPOINT",
        isUsage: true,
        fix: expect.stringContaining("GGUF"),
      }),
    );
});

it("takes single files for a model, and those beside a folder for parts of it", () => {
  const paths = (model: ReturnType<typeof pickedModel>) =>
    model.kind === "files" && [model.files, model.parts ?? []].map((some) => some.map(({ path }) => path));
  const loose = (name: string) => new File([name], name);
  const set = pickedModel([loose("wan.gguf"), loose("vae.safetensors"), loose("spiece.model")]);
  expect(set).toMatchObject({ name: "wan.gguf and 2 more" });
  expect(paths(set)).toEqual([[], ["wan.gguf", "vae.safetensors", "spiece.model"]]);
  // Of a folder only what can be a part; the pickle is refused by the reader, with what to do.
  const inFolder = pickedModel(
    ["wan/a.pth", "wan/vae/b.sft", "wan/tok/tokenizer.json", "wan/readme.md", "wan/vae/config.json"].map(
      (path) => picked(path),
    ),
  );
  expect(paths(inFolder)).toEqual([[], ["wan/a.pth", "wan/vae/b.sft", "wan/tok/tokenizer.json"]]);
  // A typing error in a name is said by the reader, too, and not left out.
  expect(paths(pickedModel([loose("wan.gguf"), loose("vae.saftensors")]))).toEqual([
    [],
    ["wan.gguf", "vae.saftensors"],
  ]);
  const beside = pickedModel([picked("wan/model_index.json"), picked("wan/vae/x"), loose("better.gguf")]);
  expect(beside).toMatchObject({ name: "wan" });
  expect(paths(beside)).toEqual([["model_index.json", "vae/x"], ["better.gguf"]]);
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
  const items = [
    { kind: "string" },
    { kind: "file", webkitGetAsEntry: () => entry, getAsFile: () => null },
    // What came from a program and not from a folder has no entry.
    { kind: "file", webkitGetAsEntry: () => null, getAsFile: () => new File(["x"], "better.gguf") },
  ];
  const model = await droppedModel({ items, files: [] } as unknown as DataTransfer);
  expect(model.kind === "files" && model.files).toHaveLength(251);
  expect(model).toMatchObject({ name: "wan", parts: [{ path: "better.gguf" }] });
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
