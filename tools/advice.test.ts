/** What the house advises can be done: commands and options that its sentences name are there, and so are the documents. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, it } from "vitest";
import { createProgram } from "../apps/cli/src/program.js";

const root = fileURLToPath(new URL("..", import.meta.url));
type Command = ReturnType<typeof createProgram>;
const io = { out: () => {}, err: () => {}, redraw: () => {}, isTerminal: false };
const program = createProgram(io, () => {});

/** Long options of a command and those below it. */
function optionsOf(command: Command): string[] {
  const own = command.options.map(({ long }) => long ?? "");
  return [...own, "--help", ...command.commands.flatMap(optionsOf)];
}
const everyOption = new Set([...optionsOf(program), "--version"]);
const commandOf = (name: string) => program.commands.find((one) => one.name() === name);

function* filesBelow(folder: string, ending: RegExp): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (/^(node_modules|dist|testing|\..*|__.*|fixtures|CHANGELOG\.md)$/.test(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path, ending);
    else if (ending.test(entry.name) && !/\.(test|d)\.ts$/.test(entry.name)) yield path;
  }
}

/** A text as it is shown, with a word in the place of every value. */
function textOf(node: ts.Node): string | undefined {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isTemplateExpression(node))
    return node.head.text + node.templateSpans.map(({ literal }) => `VALUE${literal.text}`).join("");
  return undefined;
}

/** All texts in a source file that a person may be shown. */
function textsOf(path: string): { text: string; line: number }[] {
  const file = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
  const texts: { text: string; line: number }[] = [];
  const visit = (node: ts.Node) => {
    const text = textOf(node);
    if (text !== undefined)
      texts.push({ text, line: file.getLineAndCharacterOfPosition(node.getStart()).line + 1 });
    ts.forEachChild(node, visit);
  };
  visit(file);
  return texts;
}

/** What a sentence or a command line names that is not there. */
function missingIn(text: string, isProgram: boolean): string[] {
  const missing: string[] = [];
  // A command line, or the name of a command in a sentence: `lvsa plan`, "lvsa decode x.safetensors --model …".
  for (const [, name, rest] of text.matchAll(/(?<![\w@/.-])lvsa ([a-z]+)([^`\n"]*)/g)) {
    const command = commandOf(name!);
    if (!command) {
      // In a sentence the program may be the subject: "lvsa takes …".
      if (/`lvsa /.test(text) || / --/.test(rest!)) missing.push(`lvsa ${name}`);
      continue;
    }
    const options = optionsOf(command);
    for (const [option] of rest!.matchAll(/(?<![\w-])--[a-z][a-z0-9-]*/g))
      if (!options.includes(option)) missing.push(`lvsa ${name} ${option}`);
  }
  if (isProgram) {
    const own = text.replace(/\b(npm|npx|pnpm|git|node|python|pip|apt(-get)?|lvsa-[a-z]+) [^`\n]*/g, "");
    for (const [option] of own.matchAll(/(?<![\w-])--[a-z][a-z0-9-]*/g))
      if (!everyOption.has(option) && option !== "--import") missing.push(option);
  }
  for (const [path] of text.matchAll(/(?<![\w/])docs\/[\w./-]+\.md/g))
    if (!existsSync(join(root, path))) missing.push(path);
  return missing;
}

it("finds what is not there", () => {
  expect(missingIn("Run `lvsa plna`, or `lvsa plan x --stpes 3`.", true)).toEqual([
    ...["lvsa plna", "lvsa plan --stpes", "--stpes"],
  ]);
  expect(missingIn("see docs/none.md, or lvsa generate --lvsa", true)).toEqual(["docs/none.md"]);
});

it("every command, option and document that a text of the programs and packages names is there", () => {
  const problems: string[] = [];
  let named = 0;
  for (const folder of ["apps", "packages"])
    for (const path of filesBelow(join(root, folder), /\.ts$/)) {
      // Its arguments are those of the driver's own tool.
      if (path.endsWith("memory-probe.ts")) continue;
      const isProgram = /apps[\\/]cli[\\/]src/.test(path);
      for (const { text, line } of textsOf(path)) {
        if (/lvsa [a-z]|--[a-z]|docs\//.test(text)) named++;
        for (const what of missingIn(text, isProgram))
          problems.push(`${relative(root, path)}:${line}: ${what}`);
      }
    }
  expect(problems).toEqual([]);
  expect(named).toBeGreaterThan(150);
});

it("every command and option of a command line in the documents is there, and every link of one to another", () => {
  const problems: string[] = [];
  for (const path of filesBelow(root, /\.md$/)) {
    // Copies that the API reference is made of.
    if (/docs[\\/]api[\\/]/.test(path)) continue;
    const text = readFileSync(path, "utf8");
    const name = relative(root, path);
    for (const line of text.split("\n")) {
      for (const what of missingIn(line, false)) problems.push(`${name}: ${what}`);
      for (const [, target] of line.matchAll(/\]\(([^)#?\s]+)(?:#[^)]*)?\)/g))
        if (!/^[a-z]+:/.test(target!) && !existsSync(join(dirname(path), decodeURIComponent(target!))))
          problems.push(`${name}: link to ${target}`);
    }
  }
  expect(problems).toEqual([]);
});
