// What a load balancer's report means, and how its servers' entries in `balancer/main` change. Pure functions.
import type { BalancedServer, BalancerReport, ServedCertificate } from "./api/types";
import type { Level } from "./health";

/** How one server is to be treated, as the object `balancer/main` has it. */
export interface ServerEntry {
  name: string;
  weight?: number;
  state?: "in" | "drain" | "maintenance";
}

/** A report that is older is of a load balancer that does not run. */
export const STALE_MS = 5000;
/** From so many days before it ends, a certificate needs somebody. */
export const SOON_DAYS = 30;
const DAY_MS = 86_400_000;

const LEVELS: Record<BalancedServer["state"], Level> = {
  in: "ok",
  "not-ready": "warning",
  drain: "unknown",
  maintenance: "unknown",
  ejected: "down",
  dead: "down",
};

export function serverLevel(server: Pick<BalancedServer, "state">): Level {
  return LEVELS[server.state];
}

/** Whether the operator, or its own end, keeps requests from a server. */
export function isAside(server: Pick<BalancedServer, "state">): boolean {
  return server.state === "drain" || server.state === "maintenance";
}

/** Whether no other server would get requests if this one got none. */
export function isLast(servers: Pick<BalancedServer, "name" | "state">[], name: string): boolean {
  return !servers.some((server) => server.name !== name && server.state === "in");
}

/** Days until a certificate ends; negative when it has; none if that is not known. */
export function daysLeft(certificate: Pick<ServedCertificate, "not_after">, now: number): number | null {
  if (!certificate.not_after) return null;
  return Math.floor((Date.parse(certificate.not_after) - now) / DAY_MS);
}

export function certificateLevel(certificate: ServedCertificate, now: number): Level {
  const days = daysLeft(certificate, now);
  if (certificate.problem || (days !== null && days < 0)) return "down";
  // One that is ordered is renewed by itself.
  return days !== null && days < SOON_DAYS && !certificate.next_order ? "warning" : "ok";
}

/** The list of servers with one of them changed. What says only what holds anyway is left out. */
export function withServer(
  servers: ServerEntry[],
  name: string,
  change: Omit<ServerEntry, "name">,
): ServerEntry[] {
  const known = servers.some((server) => server.name === name);
  const all = known ? servers : [...servers, { name }];
  return all
    .map((server) => (server.name === name ? { ...server, ...change } : server))
    .filter(
      (server) => server.name !== name || (server.weight ?? 1) !== 1 || (server.state ?? "in") !== "in",
    );
}

/** Requests per second between two reports of one process; none if they are not of one, or of the same moment. */
export function rate(
  before: { at: number; report: BalancerReport } | null,
  now: { at: number; report: BalancerReport },
  count: (report: BalancerReport) => number | undefined,
): number | null {
  if (!before || before.report.instance !== now.report.instance || now.at <= before.at) return null;
  const [from, to] = [count(before.report), count(now.report)];
  if (from === undefined || to === undefined || to < from) return null;
  return ((to - from) * 1000) / (now.at - before.at);
}
