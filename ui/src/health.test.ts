import { expect, test } from "vitest";
import type { ClusterStatus, ComponentStatus } from "./api/types";
import { lastKnown, verdict } from "./health";

function component(
  name: string,
  role: ComponentStatus["role"],
  more: Partial<ComponentStatus> = {},
): ComponentStatus {
  return {
    name,
    role,
    pid: 1,
    state: "running",
    ready: true,
    reason: "",
    version: "0.1.0",
    deployment: 3,
    revision: 9,
    ...more,
  };
}

function cluster(...components: ComponentStatus[]): ClusterStatus {
  return { cluster: "c", deployment: 3, revision: 9, components };
}

const dead = { state: "dead", ready: false };

test("the verdict is red only when somebody must act", () => {
  const balancer = component("load-balancer", "load-balancer");
  const server1 = component("server1", "server");
  const cases: [ClusterStatus, string, string][] = [
    [cluster(server1, balancer), "ok", "All 2 components ready"],
    [cluster(server1, component("server2", "server", dead), balancer), "down", "server2 is dead"],
    [cluster(component("server1", "server", dead), balancer), "down", "No server takes work"],
    [
      cluster(
        server1,
        component("server2", "server", { state: "not-ready", ready: false, reason: "no worker" }),
      ),
      "warning",
      "server2 is not-ready: no worker",
    ],
    [
      cluster(server1, component("server2", "server", { state: "stopped", ready: false })),
      "ok",
      "All 1 component ready, 1 stopped",
    ],
    [cluster(server1, component("server2", "server", { revision: 8 })), "warning", "server2 is catching up"],
  ];
  for (const [status, level, text] of cases) expect(verdict(status, false)).toEqual({ level, text });
});

test("when no server answers, old green is not shown as green", () => {
  const status = cluster(
    component("server1", "server"),
    component("scheduler", "scheduler"),
    component("dashboard", "dashboard"),
  );
  expect(verdict(status, true).level).toBe("down");
  expect(lastKnown(status, false).every(({ ready }) => !ready)).toBe(true);
  expect(lastKnown(status, true).map(({ name, state, ready }) => [name, state, ready])).toEqual([
    ["server1", "dead", false],
    ["scheduler", "unknown", false],
    ["dashboard", "running", true],
  ]);
});
