/** Counters in Prometheus' text form. No metric names a job, a prompt or a key. */
import type { JobStatus } from "@lvsa/jobs";

export class Metrics {
  readonly #requests = new Map<string, number>();
  readonly #started = Date.now();

  /** @param route the pattern, not the path: labels must not grow with jobs */
  countRequest(method: string, route: string, status: number): void {
    const label = `method="${method}",route="${route}",status="${status}"`;
    this.#requests.set(label, (this.#requests.get(label) ?? 0) + 1);
  }

  text(counts: Readonly<Record<JobStatus, number>>): string {
    const lines = [
      "# HELP lvsa_jobs Jobs by status.",
      "# TYPE lvsa_jobs gauge",
      ...Object.entries(counts).map(([status, n]) => `lvsa_jobs{status="${status}"} ${n}`),
      "# HELP lvsa_http_requests_total Requests answered.",
      "# TYPE lvsa_http_requests_total counter",
      ...[...this.#requests].map(([label, n]) => `lvsa_http_requests_total{${label}} ${n}`),
      "# HELP lvsa_uptime_seconds Time since the server started.",
      "# TYPE lvsa_uptime_seconds gauge",
      `lvsa_uptime_seconds ${((Date.now() - this.#started) / 1000).toFixed(1)}`,
    ];
    return `${lines.join("\n")}\n`;
  }
}
