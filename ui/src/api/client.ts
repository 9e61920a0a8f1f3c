// The one way to the API: typed by the OpenAPI document, with every failure turned into an ApiError.
import createClient from "openapi-fetch";
import type { paths } from "./schema";
import type { FieldProblem, Problem, Session } from "./types";

/** How long a call may take before the interface gives up and says so. */
const CALL_TIMEOUT_MS = 65_000;

/** What went wrong with a call. `status` 0: the dashboard itself could not be reached. */
export class ApiError extends Error {
  readonly status: number;
  readonly title: string;
  readonly cid: string;
  readonly fields: FieldProblem[];

  constructor(status: number, title: string, detail: string, cid = "", fields: FieldProblem[] = []) {
    super(detail || title);
    this.name = "ApiError";
    this.status = status;
    this.title = title;
    this.cid = cid;
    this.fields = fields;
  }

  /** Whether nothing answered, so that asking again is worth it. */
  get unreachable(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

function errorOf(status: number, body: unknown): ApiError {
  const problem = (typeof body === "object" && body !== null ? body : {}) as Partial<Problem>;
  const title = problem.title ?? `HTTP ${status}`;
  return new ApiError(status, title, problem.detail ?? "", problem.cid ?? "", problem.errors ?? []);
}

async function guardedFetch(input: Request): Promise<Response> {
  const signal = AbortSignal.any([input.signal, AbortSignal.timeout(CALL_TIMEOUT_MS)]);
  try {
    return await fetch(input, { signal, credentials: "same-origin" });
  } catch (cause) {
    if (input.signal.aborted) throw cause;
    const timedOut = cause instanceof DOMException && cause.name === "TimeoutError";
    throw timedOut
      ? new ApiError(504, "No answer in time", "The call took too long and was given up.")
      : new ApiError(0, "Dashboard not reachable", "The dashboard process does not answer. Is it running?");
  }
}

/** Calls that change something carry this header, which a foreign page can't set. */
const GUARD = { "X-Tenon-Dashboard": "1" };

export const api = createClient<paths>({ baseUrl: "/api", fetch: guardedFetch, headers: GUARD });

/** The data of an answer, or its problem thrown as an ApiError. */
export function unwrap<T>(result: { data?: T; error?: unknown; response: Response }): T {
  if (result.response.ok && result.data !== undefined) return result.data;
  throw errorOf(result.response.status, result.error);
}

async function post(path: string, body: unknown): Promise<unknown> {
  const request = new Request(path, {
    method: "POST",
    headers: { ...GUARD, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const response = await guardedFetch(request);
  const answer: unknown = await response.json().catch(() => undefined);
  if (!response.ok) throw errorOf(response.status, answer);
  return answer;
}

/** Logs in. The session's token goes into a cookie that scripts can't read. */
export async function logIn(user: string, password: string): Promise<Session> {
  return (await post("/api/login", { user, password })) as Session;
}

/** Ends the session. */
export async function logOut(): Promise<void> {
  await post("/api/logout", {});
}
