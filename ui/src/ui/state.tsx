import type { DeploymentState, RunOutcome } from "../api/types";
import type { Level } from "../health";

export type StateLevel = Level | "active";

/** A state as a dot and a word. */
export function State({ level, children, title }: { level: StateLevel; children: string; title?: string }) {
  return (
    <span className="state" data-level={level} title={title}>
      {children}
    </span>
  );
}

const OUTCOMES: Record<RunOutcome, StateLevel> = {
  waiting: "active",
  running: "active",
  ok: "ok",
  error: "down",
  timeout: "down",
  lost: "down",
  skipped: "unknown",
};

export function outcomeLevel(outcome: RunOutcome): StateLevel {
  return OUTCOMES[outcome];
}

export function Outcome({ outcome }: { outcome: RunOutcome }) {
  return <State level={OUTCOMES[outcome]}>{outcome}</State>;
}

const DEPLOYMENTS: Record<DeploymentState, StateLevel> = {
  preparing: "active",
  live: "ok",
  canary: "active",
  superseded: "unknown",
  refused: "down",
  "rolled-back": "down",
};

export function Deployed({ state }: { state: DeploymentState }) {
  return <State level={DEPLOYMENTS[state]}>{state}</State>;
}
