/** `lora_adapter_metadata` in a file's header: what PEFT knew of the LoRA. */
import { ConfigError } from "@lvsa/runtime";
import * as z from "zod";

export interface PeftMetadata {
  /**
   * alpha / rank of a module; undefined where the metadata states no alpha.
   *
   * @param component what the file calls the transformer
   */
  factor(component: string, module: string, rank: number): number | undefined;
}

const number = z.number().positive();
const schema = z.looseObject({
  lora_alpha: number.nullish(),
  r: number.nullish(),
  alpha_pattern: z.record(z.string(), number).nullish(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
});

/**
 * @param file name, for errors
 * @throws ConfigError `BAD_JSON`, `BAD_CONFIG`
 */
export function parsePeftMetadata(
  metadata: Readonly<Record<string, string>>,
  file: string,
): PeftMetadata | undefined {
  const text = metadata.lora_adapter_metadata;
  if (text === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new ConfigError("BAD_JSON", "lora_adapter_metadata in the file's header is not JSON", {
      where: file,
      cause,
    });
  }
  // Every key begins with the name of the component; files of one component may leave it out.
  const groups = new Map<string, Record<string, unknown>>();
  for (const [key, value] of Object.entries((json ?? {}) as Record<string, unknown>)) {
    const [, component = "", field] = /^(?:([a-z0-9_]+)\.)?(.*)$/s.exec(key)!;
    groups.set(component, { ...groups.get(component), [field!]: value });
  }
  const settings = new Map(
    [...groups].map(([component, fields]) => [component, parseSettings(fields, file)]),
  );
  return {
    factor: (component, module, rank) => {
      const { lora_alpha, alpha_pattern, use_rslora } = settings.get(component) ?? settings.get("") ?? {};
      const pattern = Object.entries(alpha_pattern ?? {}).find(
        ([name]) => module === name || module.endsWith(`.${name}`),
      );
      const alpha = pattern?.[1] ?? lora_alpha ?? undefined;
      return alpha === undefined ? undefined : alpha / (use_rslora ? Math.sqrt(rank) : rank);
    },
  };
}

function parseSettings(fields: Record<string, unknown>, file: string): z.infer<typeof schema> {
  const parsed = schema.safeParse(fields);
  if (parsed.success && !parsed.data.use_dora) return parsed.data;
  const problem = parsed.success ? "use_dora is not supported" : parsed.error.issues[0]?.message;
  throw new ConfigError("BAD_CONFIG", `lora_adapter_metadata: ${problem}`, { where: file });
}
