/**
 * What the GPU tests take from `vitest`, in one file that runs where nothing is installed: on the machine that has the GPU.
 * Tests run one after the other; assertions are vitest's own.
 */
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  chai,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
} from "@vitest/expect";
import { spyOn } from "@vitest/spy";

type Hook = () => unknown;
type Test = (given: typeof context) => unknown;
type Body = (...values: never[]) => unknown;

class Suite {
  readonly tests: { readonly name: string; readonly body: Test }[] = [];
  readonly suites: Suite[] = [];
  readonly beforeAll: Hook[] = [];
  readonly afterAll: Hook[] = [];
  readonly beforeEach: Hook[] = [];
  readonly afterEach: Hook[] = [];
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

let at = new Suite("");

function describeOne(name: string, body: Hook): void {
  const outer = at;
  at = new Suite(name);
  outer.suites.push(at);
  body();
  at = outer;
}

function testOne(name: string, body: Test): void {
  at.tests.push({ name, body });
}

/** `%s` and `%o` of a name, as far as a line of a report needs them. */
const named = (name: string, row: unknown[]) =>
  name.replace(/%[sdiojf]/g, () => {
    const value = row.shift();
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  });

/** `$name` of a name, for rows that are objects. */
const filled = (name: string, row: unknown) =>
  name.replace(/\$(\w+)/g, (all, key: string) => {
    const value = (row as Record<string, unknown> | null)?.[key];
    return value === undefined ? all : String(value);
  });

const each =
  (one: (name: string, body: Hook) => void) =>
  (rows: readonly unknown[]) =>
  (name: string, body: Body): void => {
    for (const row of rows) {
      const values = Array.isArray(row) ? row : [row];
      one(filled(named(name, [...values]), row), () => body(...(values as never[])));
    }
  };

/** With `each`, and `skipIf`: what is declared where the condition holds is not run, and is not counted. */
const conditional = <T extends (name: string, body: never) => void>(one: T) => {
  const all = Object.assign(one, { each: each(one as never) });
  const none = ((name: string) => console.warn(`skipped: ${name}`)) as T;
  const nothing = Object.assign(none, { each: () => () => undefined });
  return Object.assign(all, { skipIf: (condition: unknown) => (condition ? nothing : all) });
};
export const describe = conditional(describeOne);
export const test = conditional(testOne);
export const it = test;
export const beforeAll = (hook: Hook) => void at.beforeAll.push(hook);
export const afterAll = (hook: Hook) => void at.afterAll.push(hook);
export const beforeEach = (hook: Hook) => void at.beforeEach.push(hook);
export const afterEach = (hook: Hook) => void at.afterEach.push(hook);
export const vi = { spyOn };

for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(plugin);
export const expect = Object.assign(
  (value: unknown, message?: string) => chai.expect(value, message),
  chai.expect,
  (globalThis as Record<symbol, object>)[ASYMMETRIC_MATCHERS_OBJECT],
) as typeof chai.expect;

export interface TestResult {
  readonly file: string;
  readonly name: string;
  readonly ms: number;
  /** Why it failed. */
  readonly failed?: string;
  /** Why it did not run. */
  readonly skipped?: string;
}

class Skipped extends Error {}

/** What a test is given: the part of vitest's context that tests here take. */
const context = {
  skip(first?: boolean | string, reason?: string): void {
    if (first === false) return;
    throw new Skipped(reason ?? (typeof first === "string" ? first : "no reason"));
  },
};

/** Imports a file of tests and runs what it declares. A hook that fails fails the tests of its suite. */
export async function runFile(
  file: string,
  load: () => Promise<unknown>,
  report: (result: TestResult) => void,
): Promise<void> {
  at = new Suite("");
  const root = at;
  try {
    await load();
  } catch (error) {
    report({ file, name: "import", ms: 0, failed: textOf(error) });
    return;
  }
  await runSuite(root, [], []);

  async function runSuite(suite: Suite, before: readonly Hook[], after: readonly Hook[]): Promise<void> {
    const [setUp, tearDown] = [
      [...before, ...suite.beforeEach],
      [...suite.afterEach, ...after],
    ];
    const broken = await failure(suite.beforeAll);
    for (const { name, body } of suite.tests) {
      const start = performance.now();
      let skipped: string | undefined;
      const run = async (one: Test) => {
        try {
          await one(context);
        } catch (error) {
          if (!(error instanceof Skipped)) throw error;
          skipped = error.message;
        }
      };
      let failed = broken ?? (await failure([...setUp, () => run(body)]));
      failed ??= broken === undefined ? await failure(tearDown) : undefined;
      const ms = Math.round(performance.now() - start);
      report({
        file,
        name: named(`${suite.name} ${name}`.trim(), []),
        ms,
        ...(failed ? { failed } : {}),
        ...(skipped ? { skipped } : {}),
      });
    }
    if (broken === undefined) for (const inner of suite.suites) await runSuite(inner, setUp, tearDown);
    const failed = await failure(suite.afterAll);
    if (failed) report({ file, name: `${suite.name} afterAll`.trim(), ms: 0, failed });
  }
}

async function failure(hooks: readonly Hook[]): Promise<string | undefined> {
  try {
    for (const hook of hooks) await hook();
    return undefined;
  } catch (error) {
    return textOf(error);
  }
}

/** What a test says, without the places of the program that ran it. */
const textOf = (error: unknown) => String(error).slice(0, 600);
