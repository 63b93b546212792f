/** A parsed config.json: every key of the class with its default, and all other keys as they were. */
export type ResolvedConfig = Readonly<Record<string, unknown>>;
