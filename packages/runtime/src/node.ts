export * from "./node/create-device.js";
export * from "./node/file-source.js";
export { cachedSnapshot, type HubEnvironment } from "./node/hub/hub-cache.js";
export { type PullOptions, pullRepository } from "./node/hub/pull.js";
export { type AdapterName, type LookForDrivers, listAdapters } from "./node/list-adapters.js";
export { listPciCards, type PciCard } from "./node/pci-cards.js";
export { isRepositoryName } from "./weights/http/hub.js";
