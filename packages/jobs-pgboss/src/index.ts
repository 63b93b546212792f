export { openPgBossQueue, type PgBossOptions } from "./pgboss-queue.js";
