/** `count` lines of shader text, made by number. */
export function lines(count: number, text: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => text(i)).join("\n");
}

/**
 * The number `count` in a form that compilers do not see through (m is never 0): loops up to it stay loops. An
 * unrolled epilogue or tile costs software adapters many seconds of compile time.
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
