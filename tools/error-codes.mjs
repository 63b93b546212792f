// The codes of our errors: finds every place that makes one, and from these writes `src/error-codes.ts` of each library
// and docs/error-codes.md. `node tools/error-codes.mjs` checks that both are as they would be written, `--write` writes.
//
// One code of a package means one fault, so `fault` of all places that make it is the same, and every place has one that can be
// read here: its class's, or `fault` in the options.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, sep } from "node:path";
import ts from "typescript";

/** The classes and the fault of each: its own `fault`, or that of the class above. */
const FAMILY = new Map();
for (const path of ["packages/runtime/src/lvsa-error.ts", "packages/software-adapter/src/error.ts"]) {
  const file = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
  for (const statement of file.statements.filter(ts.isClassDeclaration)) {
    const own = statement.members.find(
      (member) => ts.isPropertyDeclaration(member) && member.name.getText() === "fault" && member.initializer,
    );
    const above = statement.heritageClauses?.[0]?.types[0]?.expression.getText();
    FAMILY.set(statement.name.text, own ? own.initializer.text : FAMILY.get(above));
  }
}
const FAULTS = new Set(["usage", "input", "run"]);
/** Functions that make an error from a code and a message. */
const MAKERS = new Map([["weightsError", "WeightsError"]]);
const DOCUMENT = "docs/error-codes.md";

function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name).split(sep).join("/");
    if (entry.isDirectory()) {
      if (!/^(testing|testing-support|__.*)$/.test(entry.name)) yield* sources(path);
    } else if (/\.ts$/.test(entry.name) && !/\.(test|d|reference)\.ts$|^error-codes\.ts$/.test(entry.name))
      yield path;
  }
}

/** Every code that an expression can be. */
function codesOf(expression) {
  if (!expression) return [];
  if (ts.isConditionalExpression(expression))
    return [...codesOf(expression.whenTrue), ...codesOf(expression.whenFalse)];
  return ts.isStringLiteral(expression) && /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/.test(expression.text)
    ? [expression.text]
    : [];
}

/** A message with dots where values go. */
function messageOf(expression) {
  if (!expression) return "";
  if (ts.isStringLiteral(expression) || ts.isNoSubstitutionTemplateLiteral(expression))
    return expression.text;
  if (ts.isTemplateExpression(expression))
    return expression.head.text + expression.templateSpans.map(({ literal }) => `…${literal.text}`).join("");
  if (ts.isBinaryExpression(expression)) return messageOf(expression.left) + messageOf(expression.right);
  if (ts.isConditionalExpression(expression)) return messageOf(expression.whenTrue);
  return "";
}

/** What a file calls the classes of the family: renamed imports, and subclasses of its own. */
function classesOf(file) {
  const classes = new Map([...FAMILY.keys()].map((name) => [name, name]));
  const visit = (node) => {
    if (ts.isImportSpecifier(node) && node.propertyName && FAMILY.has(node.propertyName.text))
      classes.set(node.name.text, node.propertyName.text);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return classes;
}

/** `fault` of an error's options, else its class's. Undefined where it can not be told from the text. */
function faultOf(made, options) {
  if (!options || !ts.isObjectLiteralExpression(options)) return FAMILY.get(made);
  const given = options.properties.find((property) => property.name?.getText() === "fault");
  if (!given) return FAMILY.get(made);
  const fault =
    ts.isPropertyAssignment(given) && ts.isStringLiteral(given.initializer) && given.initializer.text;
  return FAULTS.has(fault) ? fault : undefined;
}

/** Adds the errors that a file makes to `found`: code → { faults, message, classes }. */
function collect(path, found) {
  const file = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
  const classes = classesOf(file);
  const add = (made, args) => {
    // A code that is passed on was made elsewhere; the command line's own class has one code, and takes a message first.
    const isRead = codesOf(args?.[0]).length > 0 || /\bcode\)?$/.test(args?.[0]?.getText() ?? "");
    if (!isRead && !(made === "UsageError" && path.startsWith("apps/cli/")))
      problems.push(`${path}: an error whose code can not be read: ${args?.[0]?.getText()}`);
    for (const code of codesOf(args?.[0])) {
      const entry = found.get(code) ?? { faults: new Map(), classes: new Set(), message: "" };
      entry.faults.set(faultOf(made, args[2]), path);
      entry.classes.add(made);
      entry.message ||= messageOf(args[1]).replace(/\s+/g, " ").trim();
      found.set(code, entry);
    }
  };
  const visit = (node, parent) => {
    const inside = ts.isClassLike(node) ? node.heritageClauses?.[0]?.types[0]?.expression.getText() : parent;
    if (ts.isNewExpression(node) && ts.isIdentifier(node.expression)) {
      const made = classes.get(node.expression.text);
      if (made) add(made, node.arguments);
    }
    if (ts.isCallExpression(node)) {
      if (node.expression.kind === ts.SyntaxKind.SuperKeyword && classes.has(inside))
        add(classes.get(inside), node.arguments);
      if (ts.isIdentifier(node.expression) && MAKERS.has(node.expression.text))
        add(MAKERS.get(node.expression.text), node.arguments);
    }
    ts.forEachChild(node, (child) => visit(child, inside));
  };
  visit(file);
}

const pascal = (name) =>
  name
    .split("-")
    .map((word) => word[0].toUpperCase() + word.slice(1))
    .join("");
const problems = [];
const outputs = new Map();
const sections = [];

for (const parent of ["packages", "apps"]) {
  for (const name of readdirSync(parent)) {
    const root = `${parent}/${name}`;
    if (!existsSync(`${root}/package.json`)) continue;
    const found = new Map();
    for (const path of sources(`${root}/src`)) collect(path, found);
    if (found.size === 0) continue;
    const codes = [...found].sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [code, { faults }] of codes) {
      if (faults.has(undefined)) problems.push(`${code} in ${faults.get(undefined)}: whose fault is it?`);
      if (faults.size === 1) continue;
      const places = [...faults].map(([fault, path]) => `${fault} in ${path}`).join(", ");
      problems.push(`${code} is ${places}: two faults need two codes`);
    }
    const faultOfCode = ({ faults }) => [...faults.keys()][0];
    const text = codes.map(([code, entry]) => {
      const comment = entry.message.replaceAll("*/", "* /");
      return `${comment ? `  /** ${comment} */\n` : ""}  ${code}: { fault: "${faultOfCode(entry)}" },\n`;
    });
    const constant = `${name.replaceAll("-", "_").toUpperCase()}_ERROR_CODES`;
    // A program has nobody to export to.
    if (parent === "packages")
      outputs.set(
        `${root}/src/error-codes.ts`,
        `// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * \`code\` of every error that this package throws on purpose, with the message of one. \`fault\` is \`usage\` for what was asked
 * wrongly, \`input\` for what was given and can not be used, \`run\` for what failed on the way; programs end with their exit code
 * for wrong usage for the first two.
 */
export const ${constant}: Readonly<
  Record<${pascal(name)}ErrorCode, { readonly fault: "usage" | "input" | "run" }>
> = {
${text.join("")}};

export type ${pascal(name)}ErrorCode =
${codes.map(([code]) => `  | "${code}"`).join("\n")};
`,
      );
    const cell = (text) => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
    const rows = codes.map(
      ([code, entry]) =>
        `| \`${code}\` | ${[...entry.classes].sort().join(", ")} | ${faultOfCode(entry)} | ${cell(entry.message)} |`,
    );
    sections.push(
      `## @lvsa/${name}\n\n| code | class | fault | says |\n| --- | --- | --- | --- |\n${rows.join("\n")}\n`,
    );
  }
}
outputs.set(
  DOCUMENT,
  `# Error codes

Written by \`node tools/error-codes.mjs --write\` from the places that make the errors; do not edit.

Every error thrown on purpose is an \`LvsaError\` (\`isLvsaError(error)\`) with \`code\`, \`message\`, \`fix\` and \`where\`. A code
stands for one fault of its package, and \`error.fault\` says whose it is:

- \`usage\`: what was asked can not be (an option, an argument); asking for something else mends it.
- \`input\`: what was given can not be used (a path, a file, a folder, a checkpoint, a package); giving another mends it.
- \`run\`: what was asked and given is right as far as anyone knows, and the run failed (GPU, memory, disk, network, another
  process).

\`lvsa\` ends with 2 for the first two, with 1 for the third, and with 130 when it was stopped. Dots stand for values. Each
package exports its codes as a type and a table, for example \`RuntimeErrorCode\` and \`RUNTIME_ERROR_CODES\`.

${sections.join("\n")}`,
);

for (const [path, text] of outputs) {
  const now = existsSync(path) ? readFileSync(path, "utf8").replaceAll("\r\n", "\n") : "";
  if (now === text) continue;
  if (process.argv.includes("--write")) writeFileSync(path, text);
  else problems.push(`${path} is not current: node tools/error-codes.mjs --write`);
}
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
console.log(`error codes of ${sections.length} packages are current`);
