/** One at a time, over all tabs of the origin. */

/** Runs `work` alone under `name`; without Web Locks at once. */
export async function exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
  const locks = globalThis.navigator?.locks;
  return locks ? ((await locks.request(`lvsa/${name}`, work)) as T) : work();
}
