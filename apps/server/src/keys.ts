/** Who asks: an API key is an owner. Keys themselves are kept nowhere. */
import { createHash } from "node:crypto";
import { HttpError } from "./http-error.js";

/** The owner of everything on a server without keys. */
export const LOCAL_OWNER = "local";

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/;

export class Keys {
  readonly #owners: ReadonlySet<string>;

  /** @param keys none: whoever reaches the server is its owner, so it may listen on the loopback only */
  constructor(keys: readonly string[]) {
    this.#owners = new Set(keys.map(ownerOf));
  }

  get isOpen(): boolean {
    return this.#owners.size === 0;
  }

  /** @throws HttpError 401 without a key that is known; 403 for a page of another origin on a server without keys */
  owner(headers: Headers): string {
    if (this.isOpen) {
      // Without keys a web page that the user visits must not be able to use the server: neither under a name of its
      // own that points here, nor by a form.
      const host = headers.get("host") ?? "";
      const origin = headers.get("origin");
      const isForeign = origin !== null && origin !== `http://${host}`;
      if (!LOOPBACK.test(host) || isForeign)
        throw new HttpError(
          403,
          "forbidden",
          "This server has no keys and answers this machine's own programs only.",
        );
      return LOCAL_OWNER;
    }
    const [scheme, key] = (headers.get("authorization") ?? "").split(" ");
    const owner = scheme?.toLowerCase() === "bearer" && key ? ownerOf(key) : undefined;
    if (owner === undefined || !this.#owners.has(owner))
      throw new HttpError(
        401,
        "invalid_api_key",
        "Give an API key of this server: Authorization: Bearer <key>.",
        {
          headers: { "www-authenticate": "Bearer" },
        },
      );
    return owner;
  }
}

/** Looking a hash up tells nothing of the keys by the time it takes. */
function ownerOf(key: string): string {
  return createHash("sha256").update(key).digest("hex").slice(0, 32);
}
