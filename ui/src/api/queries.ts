// What the screens ask for, how often, and under which key it is kept.
import {
  infiniteQueryOptions,
  keepPreviousData,
  QueryCache,
  QueryClient,
  queryOptions,
} from "@tanstack/react-query";
import { ApiError, api, unwrap } from "./client";
import type { JobSummary } from "./types";

const PULSE_MS = 1000;
const LIST_MS = 2000;
const PAGE_SIZE = 100;

export const queryClient = new QueryClient({
  queryCache: new QueryCache({
    // A session that ended anywhere ends everywhere: the login screen appears.
    onError: (error, query) => {
      if (error instanceof ApiError && error.status === 401 && query.queryKey[0] !== "session") {
        void queryClient.invalidateQueries({ queryKey: ["session"] });
      }
    },
  }),
  defaultOptions: {
    queries: {
      retry: false,
      staleTime: 1000,
      networkMode: "always",
      refetchOnWindowFocus: true,
    },
    mutations: { networkMode: "always" },
  },
});

/** Polls a list while only its first page is shown; a longer one is refreshed when the user asks for it. */
function whileShort(query: { state: { data?: { pages: unknown[] } | undefined } }): number | false {
  return (query.state.data?.pages.length ?? 0) > 1 ? false : LIST_MS;
}

/** The session, or null if nobody is logged in. */
export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async ({ signal }) => {
    try {
      return unwrap(await api.GET("/v1/sessions/current", { signal }));
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: 60_000,
  refetchInterval: (query) => (query.state.status === "error" ? PULSE_MS : 60_000),
});

export const statusQuery = queryOptions({
  queryKey: ["status"],
  queryFn: async ({ signal }) => unwrap(await api.GET("/v1/status", { signal })),
  refetchInterval: PULSE_MS,
});

export const balancersQuery = queryOptions({
  queryKey: ["balancers"],
  queryFn: async ({ signal }) => unwrap(await api.GET("/v1/balancers", { signal })),
  refetchInterval: PULSE_MS,
});

export const servicesQuery = infiniteQueryOptions({
  queryKey: ["services"],
  queryFn: async ({ pageParam, signal }) =>
    unwrap(
      await api.GET("/v1/services", { signal, params: { query: { after: pageParam, limit: PAGE_SIZE } } }),
    ),
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (page) => page.next ?? undefined,
  refetchInterval: whileShort,
});

export const serviceQuery = (name: string) =>
  queryOptions({
    queryKey: ["service", name],
    queryFn: async ({ signal }) =>
      unwrap(await api.GET("/v1/services/{name}", { signal, params: { path: { name } } })),
    refetchInterval: LIST_MS,
  });

export const deploymentsQuery = infiniteQueryOptions({
  queryKey: ["deployments"],
  queryFn: async ({ pageParam, signal }) =>
    unwrap(await api.GET("/v1/deployments", { signal, params: { query: { after: pageParam, limit: 50 } } })),
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (page) => page.next ?? undefined,
  refetchInterval: whileShort,
});

export const deploymentQuery = (number: number) =>
  queryOptions({
    queryKey: ["deployment", number],
    queryFn: async ({ signal }) =>
      unwrap(await api.GET("/v1/deployments/{number}", { signal, params: { path: { number } } })),
    refetchInterval: LIST_MS,
  });

export const jobsQuery = infiniteQueryOptions({
  queryKey: ["jobs"],
  queryFn: async ({ pageParam, signal }) =>
    unwrap(await api.GET("/v1/jobs", { signal, params: { query: { after: pageParam, limit: PAGE_SIZE } } })),
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (page) => page.next ?? undefined,
  refetchInterval: whileShort,
});

export const jobQuery = (name: string) =>
  queryOptions({
    queryKey: ["job", name],
    queryFn: async ({ signal }) =>
      unwrap(await api.GET("/v1/jobs/{name}", { signal, params: { path: { name } } })),
    refetchInterval: LIST_MS,
  });

/** A job's newest runs for the dots of the list. Asked for only when its last run has changed, not on a timer. */
export const recentRunsQuery = (job: JobSummary) =>
  queryOptions({
    queryKey: ["recent-runs", job.name, job.last_run?.id, job.last_run?.outcome, job.last_run?.attempt],
    queryFn: async ({ signal }) =>
      unwrap(
        await api.GET("/v1/jobs/{name}/runs", {
          signal,
          params: { path: { name: job.name }, query: { limit: 12 } },
        }),
      ),
    enabled: Boolean(job.last_run),
    staleTime: Number.POSITIVE_INFINITY,
    placeholderData: keepPreviousData,
  });

export const runsQuery = (name: string) =>
  infiniteQueryOptions({
    queryKey: ["runs", name],
    queryFn: async ({ pageParam, signal }) =>
      unwrap(
        await api.GET("/v1/jobs/{name}/runs", {
          signal,
          params: { path: { name }, query: { after: pageParam, limit: 50 } },
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
    refetchInterval: whileShort,
  });

export const ledgerQuery = (name: string) =>
  queryOptions({
    queryKey: ["ledger", name],
    queryFn: async ({ signal }) =>
      unwrap(await api.GET("/v1/jobs/{name}/verify", { signal, params: { path: { name } } })),
    refetchInterval: 5000,
  });

export const kindsQuery = queryOptions({
  queryKey: ["kinds"],
  queryFn: async ({ signal }) => unwrap(await api.GET("/v1/kinds", { signal })).items,
  staleTime: 60_000,
});

export const objectsQuery = (kind: string) =>
  infiniteQueryOptions({
    queryKey: ["objects", kind],
    queryFn: async ({ pageParam, signal }) =>
      unwrap(
        await api.GET("/v1/objects", {
          signal,
          params: { query: { kind, after: pageParam, limit: PAGE_SIZE } },
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
    refetchInterval: whileShort,
  });

export const objectQuery = (kind: string, name: string) =>
  queryOptions({
    queryKey: ["object", kind, name],
    queryFn: async ({ signal }) =>
      unwrap(await api.GET("/v1/objects/{kind}/{name}", { signal, params: { path: { kind, name } } })),
  });
