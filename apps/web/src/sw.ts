/** The service worker: the page's own files, kept whole for each version, so that it opens without a network. */

/** TypeScript's types of service workers contradict those of pages, which are checked with this. */
interface ExtendableEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface FetchEvent extends ExtendableEvent {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}
interface ServiceWorkerScope {
  readonly location: Location;
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", listener: (event: ExtendableEvent) => void): void;
  addEventListener(type: "fetch", listener: (event: FetchEvent) => void): void;
}

/** Filled in when the page is built. */
declare const __SHELL_FILES__: { readonly version: string; readonly files: readonly string[] };

const scope = globalThis as unknown as ServiceWorkerScope;
const shell = __SHELL_FILES__;
const cacheName = `lvsa-page-${shell.version}`;

scope.addEventListener("install", (event) => {
  const keep = async () => {
    const cache = await caches.open(cacheName);
    await cache.addAll(shell.files.map((file) => new Request(file, { cache: "reload" })));
    await scope.skipWaiting();
  };
  event.waitUntil(keep());
});

scope.addEventListener("activate", (event) => {
  const tidy = async () => {
    for (const key of await caches.keys()) {
      if (key.startsWith("lvsa-page-") && key !== cacheName) await caches.delete(key);
    }
    await scope.clients.claim();
  };
  event.waitUntil(tidy());
});

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const base = new URL("./", scope.location.href);
  // Models are kept elsewhere, file by file and checked.
  if (request.method !== "GET" || url.origin !== base.origin || request.headers.has("range")) return;
  if (!url.pathname.startsWith(base.pathname) || url.pathname.startsWith(`${base.pathname}model/`)) return;
  const answer = async () => {
    const cache = await caches.open(cacheName);
    const key = request.mode === "navigate" ? base.href : request;
    return (await cache.match(key, { ignoreSearch: request.mode === "navigate" })) ?? fetch(request);
  };
  event.respondWith(answer());
});

export {};
