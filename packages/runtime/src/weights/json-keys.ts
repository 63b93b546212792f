/** Finds what `JSON.parse` hides: a key that occurs twice in one object, where the last one silently wins. */

export interface RepeatedKey {
  readonly key: string;
  /** 1 for a key of the outermost object. */
  readonly depth: number;
}

/** The first repeated key of `text`, which must be valid JSON. One pass, no recursion. */
export function findRepeatedKey(text: string): RepeatedKey | undefined {
  // One entry per open bracket: the keys seen so far, or undefined for an array.
  const open: (Set<string> | undefined)[] = [];
  let expectKey = false;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x7b: // {
        open.push(new Set());
        expectKey = true;
        break;
      case 0x5b: // [
        open.push(undefined);
        expectKey = false;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        open.pop();
        expectKey = false;
        break;
      case 0x2c: // ,
        expectKey = open.at(-1) !== undefined;
        break;
      case 0x22: {
        const start = i;
        i = endOfString(text, i);
        const keys = open.at(-1);
        if (!expectKey || !keys) break;
        expectKey = false;
        const raw = text.slice(start + 1, i);
        const key = raw.includes("\\") ? (JSON.parse(`"${raw}"`) as string) : raw;
        if (keys.has(key)) return { key, depth: open.length };
        keys.add(key);
      }
    }
  }
  return undefined;
}

/** Index of the quote that closes the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x5c) i++;
    else if (code === 0x22) return i;
  }
  return text.length;
}
