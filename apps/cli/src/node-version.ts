/** The oldest Node that runs this program, as in package.json. Imports nothing: an older one must be able to read it. */
const OLDEST = [20, 19];

/** What to say to a Node that is too old. @param version e.g. `18.20.4` */
export function nodeTooOld(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isOld = major < OLDEST[0]! || (major === OLDEST[0] && minor < OLDEST[1]!);
  if (!isOld) return undefined;
  return `lvsa needs Node ${OLDEST.join(".")} or newer, this is Node ${version}\nFix: Install a newer Node from https://nodejs.org, or with your version manager.`;
}
