// What the cluster's state means for its owner, in one line. Pure functions.
import type { ClusterStatus, ComponentStatus } from "./api/types";
import { count } from "./format";

export type Level = "ok" | "warning" | "down" | "unknown";

export interface Verdict {
  level: Level;
  text: string;
}

/** Stopped on purpose is no fault; everything else that takes no work is one. */
function faulty(component: ComponentStatus): boolean {
  return !component.ready && component.state !== "stopped";
}

/** How a component's state is coloured. */
export function levelOf(component: Pick<ComponentStatus, "state" | "ready">): Level {
  if (component.state === "dead") return "down";
  if (component.state === "stopped" || component.state === "unknown") return "unknown";
  return component.ready ? "ok" : "warning";
}

/** The verdict on the whole cluster. */
export function verdict(status: ClusterStatus | undefined, unreachable: boolean): Verdict {
  if (unreachable) return { level: "down", text: "No server answers" };
  if (!status) return { level: "unknown", text: "Asking the cluster…" };
  const servers = status.components.filter((component) => component.role === "server");
  const ready = servers.filter((server) => server.ready);
  if (ready.length === 0) return { level: "down", text: "No server takes work" };
  const faults = status.components.filter(faulty);
  if (faults.length > 0) {
    const [first] = faults as [ComponentStatus, ...ComponentStatus[]];
    const text =
      faults.length === 1
        ? `${first.name} is ${first.state}${first.reason ? `: ${first.reason}` : ""}`
        : `${count(faults.length, "component")} of ${status.components.length} need attention: ${faults
            .map((component) => component.name)
            .join(", ")}`;
    const down = faults.some((component) => levelOf(component) === "down");
    return { level: down ? "down" : "warning", text };
  }
  const behind = ready.filter(
    (server) => server.revision < status.revision || server.deployment < status.deployment,
  );
  if (behind.length > 0) {
    return { level: "warning", text: `${behind.map((server) => server.name).join(", ")} is catching up` };
  }
  const stopped = status.components.filter((component) => component.state === "stopped");
  const text = `All ${count(status.components.length - stopped.length, "component")} ready`;
  return { level: "ok", text: stopped.length > 0 ? `${text}, ${stopped.length} stopped` : text };
}

/** What is still known when no server answers: the servers don't, a dashboard does, of the others nothing is known. */
export function lastKnown(status: ClusterStatus, dashboardAnswers: boolean): ComponentStatus[] {
  const dashboards = status.components.filter((component) => component.role === "dashboard").length;
  return status.components.map((component) => {
    if (component.role === "dashboard" && dashboardAnswers && dashboards === 1) return component;
    const server = component.role === "server";
    return {
      ...component,
      ready: false,
      state: server ? "dead" : "unknown",
      reason: server ? "does not answer" : "",
      uptime_seconds: null,
      memory_bytes: null,
      pid: null,
    };
  });
}
