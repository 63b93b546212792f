/** Writing shader text: lines by number, loops that stay loops, trees of terms. */

/** `count` lines, made by number. */
export function lines(count: number, text: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => text(i)).join("\n");
}

/** Every line moved in by `spaces`; empty lines stay empty. */
export function indent(text: string, spaces: number): string {
  return text.replace(/^(?=.)/gm, " ".repeat(spaces));
}

/** A vec4f of four expressions. */
export function vec4Of(text: (i: number) => string): string {
  return `vec4f(${[0, 1, 2, 3].map(text).join(", ")})`;
}

/** Joins terms pairwise: the chain of dependent operations is as short as it can be. */
export function tree(terms: readonly string[], join: (a: string, b: string) => string): string {
  if (terms.length === 1) return terms[0]!;
  const half = terms.length >> 1;
  return join(tree(terms.slice(0, half), join), tree(terms.slice(half), join));
}

/**
 * The number `count` in a form that compilers do not see through (`params.m` is never 0): loops up to it stay loops.
 * Software adapters unroll every loop of known length, and then take many
 * seconds to compile what runs no faster.
 */
export function opaque(count: number): string {
  return `select(${count}u, 0u, params.m == 0u)`;
}

/** Ends a thread's work: vectors of sums `s0`, `s1`, ... are put in `sums`, and `body` runs for each index `i`. */
export function forEachSum(count: number, body: string): string {
  return `  var sums = array<vec4f, ${count}>(${Array.from({ length: count }, (_, i) => `s${i}`).join(", ")});
  let count = ${opaque(count)};
  for (var i = 0u; i < count; i++) {
${body}
  }`;
}
