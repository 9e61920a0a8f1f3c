import { useSyncExternalStore } from "react";
import { instant, relative } from "../format";

// One clock for the page: every relative time moves at the same second.
let now = Date.now();
const listeners = new Set<() => void>();
setInterval(() => {
  now = Date.now();
  for (const listener of listeners) listener();
}, 1000);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** An instant as seen from now; the instant itself on hover. */
export function When({ at, none = "–" }: { at: string | null | undefined; none?: string }) {
  const current = useNow();
  if (!at) return <span className="quiet">{none}</span>;
  return (
    <time className="tabular" dateTime={at} title={`${instant(at)} (${at})`}>
      {relative(at, current)}
    </time>
  );
}

/** An instant in full. */
export function Instant({ at }: { at: string | null | undefined }) {
  if (!at) return <span className="quiet">–</span>;
  return (
    <time className="tabular" dateTime={at} title={at}>
      {instant(at)}
    </time>
  );
}
