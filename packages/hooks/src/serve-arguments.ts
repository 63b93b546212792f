/** Command lines of servers that take a diffusion attention config: LVSA for the self role, unless something is said. */

const CONFIG = "--diffusion-attention-config";
/** Whoever gives one of these has chosen already. */
const CHOICES = [CONFIG, "--diffusion-attention-backend", "-dac"];

/** What follows the program's name. `--omni` and the config are added where they are missing. */
export function serveArguments(given: readonly string[]): string[] {
  const chosen = given.some((argument) =>
    CHOICES.some(
      (choice) =>
        argument === choice || argument.startsWith(`${choice}=`) || argument.startsWith(`${choice}.`),
    ),
  );
  return [
    "serve",
    ...(given.includes("--omni") ? [] : ["--omni"]),
    ...given,
    ...(chosen ? [] : [CONFIG, '{"per_role": {"self": {"backend": "LVSA"}}}']),
  ];
}
