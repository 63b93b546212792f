/** Addresses: what may be said of one, and what is sent with one. */
import { ConfigError } from "../../errors.js";

/** Without the query and without user and password: both carry secrets. */
export function addressForMessages(url: string | URL): string {
  return String(url)
    .split(/[?#]/)[0]!
    .replace(/^([a-z][a-z0-9+.-]*:)?\/\/[^/\\]*@/i, "$1//");
}

export interface Target {
  /** Without user and password: `fetch` refuses them. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

/** An address ready to be asked; user and password in it become a header. @throws ConfigError `BAD_ADDRESS` */
export function targetOf(address: string | URL, headers: Readonly<Record<string, string>> = {}): Target {
  const page = (globalThis as { location?: { href?: string } }).location?.href;
  let url: URL;
  try {
    url = new URL(String(address), page);
  } catch {
    // The cause would repeat the address with its secrets.
    throw new ConfigError("BAD_ADDRESS", `"${addressForMessages(address)}" is no address.`, {
      fix: "Give a whole address, such as https://example.org/models/wan.",
    });
  }
  if (url.username === "" && url.password === "") return { url, headers };
  const plain = new TextEncoder().encode(
    `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`,
  );
  url.username = "";
  url.password = "";
  const given = Object.keys(headers).some((name) => name.toLowerCase() === "authorization");
  const encoded = btoa(String.fromCharCode(...plain));
  return { url, headers: given ? headers : { ...headers, Authorization: `Basic ${encoded}` } };
}
