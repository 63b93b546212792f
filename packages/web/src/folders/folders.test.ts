import { expect, it } from "vitest";
import { filesFolder } from "./file-folders.js";
import { droppedFiles, type GivenFiles, pickedFiles } from "./picked-files.js";

const picked = (path: string, text = path): File =>
  Object.assign(new File([text], path.split("/").at(-1)!), { webkitRelativePath: path });

it("finds the checkpoint in what was picked, by paths from its own folder", async () => {
  const { model, loras } = await pickedFiles([
    picked("downloads/wan/model_index.json"),
    picked("downloads/wan/vae/config.json"),
    picked("downloads/wan/copy/model_index.json"),
    picked("downloads/other.txt"),
  ]);
  expect(model).toMatchObject({ kind: "files", name: "wan" });
  expect(loras).toEqual([]);
  expect(model?.files.map(({ path }) => path)).toEqual([
    "model_index.json",
    "vae/config.json",
    "copy/model_index.json",
  ]);
  for (const files of [[], [picked("notes.txt")], [picked("a/config.json"), picked("a/b.png")]])
    await expect(pickedFiles(files)).rejects.toThrow(
      expect.objectContaining({
        code: "NO_CHECKPOINT",
        isUsage: true,
        fix: expect.stringContaining("GGUF"),
      }),
    );
});

it("takes single files for a model, and those beside a folder for parts of it", async () => {
  const paths = ({ model }: GivenFiles) =>
    [model!.files, model!.parts ?? []].map((some) => some.map(({ path }) => path));
  const loose = (name: string) => new File([name], name);
  const set = await pickedFiles([loose("wan.gguf"), loose("vae.safetensors"), loose("spiece.model")]);
  expect(set).toMatchObject({ model: { name: "wan.gguf and 2 more" }, loras: [] });
  expect(paths(set)).toEqual([[], ["wan.gguf", "vae.safetensors", "spiece.model"]]);
  // Of a folder only what can be a part; the pickle is refused by the reader, with what to do.
  const inFolder = await pickedFiles(
    ["wan/a.pth", "wan/vae/b.sft", "wan/tok/tokenizer.json", "wan/readme.md", "wan/vae/config.json"].map(
      (path) => picked(path),
    ),
  );
  expect(paths(inFolder)).toEqual([[], ["wan/a.pth", "wan/vae/b.sft", "wan/tok/tokenizer.json"]]);
  // A typing error in a name is said by the reader, too, and not left out.
  expect(paths(await pickedFiles([loose("wan.gguf"), loose("vae.saftensors")]))).toEqual([
    [],
    ["wan.gguf", "vae.saftensors"],
  ]);
  const beside = await pickedFiles([
    picked("wan/model_index.json"),
    picked("wan/vae/x"),
    loose("better.gguf"),
  ]);
  expect(beside).toMatchObject({ model: { name: "wan" } });
  expect(paths(beside)).toEqual([["model_index.json", "vae/x"], ["better.gguf"]]);
});

it("tells LoRAs from models by the names of their tensors, and leaves those of a checkpoint's folder there", async () => {
  const weights = (name: string, ...tensors: string[]) => {
    const header = JSON.stringify(Object.fromEntries([...tensors, "__metadata__"].map((one) => [one, {}])));
    const size = new Uint8Array(new BigUint64Array([BigInt(header.length)]).buffer);
    return new File([size, header], name);
  };
  const peft = weights("style.safetensors", "transformer.blocks.0.attn1.to_q.lora_A.weight");
  const kohya = weights("motion.sft", "lora_unet_blocks_0_attn1_to_q.lora_down.weight");
  const added = weights("patch.safetensors", "diffusion_model.blocks.0.modulation.diff_m");
  const model = weights("wan.safetensors", "blocks.0.attn1.to_q.weight", "explorations.weight");
  const names = (files: readonly File[]) => files.map(({ name }) => name);
  const alone = await pickedFiles([peft, kohya, added]);
  expect(alone.model).toBeUndefined();
  expect(names(alone.loras)).toEqual(["style.safetensors", "motion.sft", "patch.safetensors"]);
  const both = await pickedFiles([peft, model]);
  expect(both).toMatchObject({ model: { name: "wan.safetensors", parts: [{ path: "wan.safetensors" }] } });
  expect(names(both.loras)).toEqual(["style.safetensors"]);
  const inside = Object.assign(weights("few.safetensors", "blocks.0.lora_A.weight"), {
    webkitRelativePath: "wan/few.safetensors",
  });
  const folder = await pickedFiles([picked("wan/model_index.json"), inside, peft]);
  expect(folder.model?.files.map(({ path }) => path)).toEqual(["model_index.json", "few.safetensors"]);
  expect(folder.model?.parts).toBeUndefined();
  expect(names(folder.loras)).toEqual(["style.safetensors"]);
  // What is cut or no safetensors at all is a matter for the model's reader.
  const cut = new File([new Uint8Array([255, 0, 0, 0, 0, 0, 0, 0, 123])], "x.safetensors");
  expect((await pickedFiles([cut])).loras).toEqual([]);
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
  const { model } = await droppedFiles({ items, files: [] } as unknown as DataTransfer);
  expect(model?.files).toHaveLength(251);
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
