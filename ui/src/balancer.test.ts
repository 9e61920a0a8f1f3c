import { describe, expect, test } from "vitest";
import type { BalancerReport, ServedCertificate } from "./api/types";
import { certificateLevel, daysLeft, isLast, rate, withServer } from "./balancer";

const NOW = Date.parse("2026-11-23T10:00:00Z");

function certificate(more: Partial<ServedCertificate>): ServedCertificate {
  return { name: "c", hosts: [], is_default: false, fingerprint: "ab", ...more };
}

describe("servers", () => {
  test("one is changed and keeps what else is said of it", () => {
    const servers = [{ name: "server2", weight: 3 }];
    expect(withServer(servers, "server2", { state: "drain" })).toEqual([
      { name: "server2", weight: 3, state: "drain" },
    ]);
    expect(withServer(servers, "server1", { state: "maintenance" })).toEqual([
      { name: "server2", weight: 3 },
      { name: "server1", state: "maintenance" },
    ]);
  });

  test("what says only what holds anyway is left out", () => {
    expect(withServer([{ name: "server1", state: "drain" }], "server1", { state: "in" })).toEqual([]);
    expect(withServer([{ name: "server1", weight: 2 }], "server1", { weight: 1 })).toEqual([]);
    expect(withServer([], "server1", { state: "in" })).toEqual([]);
  });

  test("the last one that gets requests is known", () => {
    const servers = [
      { name: "server1", state: "in" as const },
      { name: "server2", state: "drain" as const },
    ];
    expect(isLast(servers, "server1")).toBe(true);
    expect(isLast(servers, "server2")).toBe(false);
  });
});

describe("certificates", () => {
  test("one that ends soon needs somebody, and one that has ended more so", () => {
    expect(daysLeft(certificate({ not_after: "2026-12-22T09:59:59Z" }), NOW)).toBe(28);
    expect(certificateLevel(certificate({ not_after: "2027-02-01T00:00:00Z" }), NOW)).toBe("ok");
    expect(certificateLevel(certificate({ not_after: "2026-12-22T00:00:00Z" }), NOW)).toBe("warning");
    expect(certificateLevel(certificate({ not_after: "2026-11-22T00:00:00Z" }), NOW)).toBe("down");
    expect(certificateLevel(certificate({ problem: "the file can't be read" }), NOW)).toBe("down");
    expect(certificateLevel(certificate({}), NOW)).toBe("ok");
    const ordered = { not_after: "2026-12-22T00:00:00Z", next_order: "2026-11-24T00:00:00Z" };
    expect(certificateLevel(certificate(ordered), NOW)).toBe("ok");
  });
});

describe("rates", () => {
  const report = (instance: string, requests: number) =>
    ({ instance, traffic: { requests } }) as unknown as BalancerReport;
  const requests = (each: BalancerReport) => each.traffic.requests;

  test("are of one process between two moments", () => {
    const before = { at: NOW, report: report("a", 100) };
    expect(rate(before, { at: NOW + 2000, report: report("a", 300) }, requests)).toBe(100);
    expect(rate(before, { at: NOW, report: report("a", 300) }, requests)).toBeNull();
    expect(rate(before, { at: NOW + 2000, report: report("b", 300) }, requests)).toBeNull();
    expect(rate(null, before, requests)).toBeNull();
  });
});
