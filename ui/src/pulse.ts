// The cluster's state, asked for every second, and what is known when nothing answers.
import { useQuery } from "@tanstack/react-query";
import { ApiError } from "./api/client";
import { statusQuery } from "./api/queries";
import type { ClusterStatus } from "./api/types";
import { type Verdict, verdict } from "./health";

export interface Pulse {
  /** The newest answer; an old one while nothing answers. */
  status: ClusterStatus | undefined;
  /** Why nothing answers; null while something does. */
  error: ApiError | null;
  /** When the newest answer came, in milliseconds; 0 for never. */
  lastSeenAt: number;
  verdict: Verdict;
}

export function usePulse(): Pulse {
  const query = useQuery(statusQuery);
  const error = query.error instanceof ApiError && query.error.unreachable ? query.error : null;
  return {
    status: query.data,
    error,
    lastSeenAt: query.dataUpdatedAt,
    verdict: verdict(query.data, error !== null),
  };
}
