// A cluster that exists only here, in the shapes of the control API: what `npm run dev:mock` answers with.

/** @typedef {import("../src/api/schema").components["schemas"]} Schemas */

const MINUTE = 60_000;
const started = Date.now();

/** @param {number} agoMs */
export const ago = (agoMs) => new Date(Date.now() - agoMs).toISOString();

/** @type {Schemas["ComponentStatus"][]} */
const COMPONENTS = [
  component("store", "store", { memory_bytes: 19_400_000 }),
  component("server1", "server", {
    address: "127.0.0.1:17010",
    control_address: "127.0.0.1:17510",
    deployment: 7,
    revision: 42,
    memory_bytes: 61_200_000,
  }),
  component("server2", "server", {
    address: "127.0.0.1:17011",
    control_address: "127.0.0.1:17511",
    deployment: 7,
    revision: 42,
    memory_bytes: 60_100_000,
  }),
  component("scheduler", "scheduler", {
    control_address: "127.0.0.1:31530",
    memory_bytes: 14_800_000,
    revision: 42,
  }),
  component("dashboard", "dashboard", { address: "127.0.0.1:8183", memory_bytes: 11_900_000 }),
  component("load-balancer", "load-balancer", {
    address: "0.0.0.0:11223",
    control_address: "127.0.0.1:11229",
    memory_bytes: 9_700_000,
  }),
];

/**
 * @param {string} name
 * @param {Schemas["Role"]} role
 * @param {Partial<Schemas["ComponentStatus"]>} more
 * @returns {Schemas["ComponentStatus"]}
 */
function component(name, role, more) {
  return {
    name,
    role,
    pid: 4000 + name.length * 17 + name.charCodeAt(name.length - 1),
    state: "running",
    ready: true,
    reason: "",
    version: "0.1.0",
    address: null,
    control_address: null,
    uptime_seconds: 0,
    memory_bytes: 0,
    deployment: 0,
    revision: 0,
    ...more,
  };
}

/** @type {Set<string>} */
export const dead = new Set();

/** @returns {Schemas["ClusterStatus"]} */
export function status() {
  const uptime = Math.floor((Date.now() - started) / 1000) + 11_000;
  const components = COMPONENTS.map((each) =>
    dead.has(each.name)
      ? {
          ...each,
          state: "dead",
          ready: false,
          reason: "not heard of for 5 s",
          pid: null,
          uptime_seconds: null,
          memory_bytes: null,
        }
      : { ...each, uptime_seconds: uptime },
  );
  return { cluster: "demo", revision: 42, deployment: 7, components };
}

/** @type {Schemas["ServiceSummary"][]} */
export const services = [
  {
    name: "api.my-service",
    file: "my_service.py",
    doc: "Returns details of a user.\n\nThe customer comes from the CRM, the balance from Billing.",
    group: "default",
    deployment: 7,
    quarantine: null,
    channels: ["GET /tutorial/api/get-user-details", "POST /tutorial/api/get-user-details"],
    input: {
      title: "Input",
      type: "object",
      properties: {
        name: { type: ["string", "null"], description: "Whose details; the caller's own if not given." },
        limit: { type: "integer", default: 10, minimum: 1 },
        verbose: { type: "boolean", default: false },
      },
      required: [],
    },
    output: {
      type: "object",
      properties: {
        user_name: { type: "string" },
        customer: { type: "string" },
        balance: { type: "number" },
      },
      required: ["user_name", "customer", "balance"],
    },
  },
  plain("demo.ping", "demo.py", "Answers with the time.", ["GET /demo/ping"]),
  plain("billing.on-order", "billing/on_order.py", "", []),
  plain("report.nightly", "report/nightly.py", "Writes the nightly report.", []),
];

/**
 * @param {string} name
 * @param {string} file
 * @param {string} doc
 * @param {string[]} channels
 * @returns {Schemas["ServiceSummary"]}
 */
function plain(name, file, doc, channels) {
  return {
    name,
    file,
    doc,
    group: "default",
    deployment: 7,
    quarantine: null,
    channels,
    input: null,
    output: null,
  };
}

const TRACEBACK = `Traceback (most recent call last):
  File "services/billing/on_order.py", line 3, in <module>
    from decimal import Decimall
ImportError: cannot import name 'Decimall' from 'decimal' (/usr/lib/python3.11/decimal.py)
`;

/** @type {Schemas["DeploymentSummary"][]} */
export const deployments = Array.from({ length: 7 }, (_, index) => {
  const number = 7 - index;
  return {
    number,
    group: "default",
    state: number === 7 ? "live" : number === 3 ? "refused" : "superseded",
    source:
      number === 6 ? "roll-back to 4" : number % 2 ? "services/ of server1" : "tenon deploy by operator",
    created_at: ago(index * index * 13 * MINUTE + 42_000),
    files: 4 + (number > 3 ? 1 : 0),
    services: 4,
    refused:
      number === 7 || number === 3
        ? [
            {
              path: "billing/on_order.py",
              error: "ImportError: cannot import name 'Decimall' from 'decimal'",
              traceback: TRACEBACK,
              kept_previous: number === 7,
            },
          ]
        : [],
  };
});

/** @param {Schemas["DeploymentSummary"]} summary @returns {Schemas["DeploymentDetail"]} */
export function detail(summary) {
  const files = ["my_service.py", "demo.py", "billing/on_order.py", "report/nightly.py", "models.py"];
  return {
    ...summary,
    service_names: services.map((service) => service.name),
    file_hashes: files
      .slice(0, summary.files)
      .map((file, index) => [file, `${(index + 3) * 7919}`.padStart(8, "a").repeat(8)]),
  };
}

/**
 * @param {string} job
 * @param {number} id
 * @param {number} agoMs
 * @param {Schemas["RunOutcome"]} outcome
 * @returns {Schemas["RunSummary"]}
 */
export function run(job, id, agoMs, outcome) {
  const failed = outcome === "error";
  return {
    id,
    job,
    planned_at: ago(agoMs),
    manual: id % 17 === 0,
    outcome,
    attempt: failed ? 3 : 1,
    server: id % 2 ? "server1" : "server2",
    started_at: ago(agoMs - 4),
    ended_at: ago(agoMs - 4 - 23),
    duration_ms: 9 + ((id * 7) % 40),
    lateness_ms: 2 + (id % 5),
    output: failed ? "" : '{"user_name": "Jane Doe", "customer": "ACME", "balance": 357.9}',
    error: failed
      ? 'Traceback (most recent call last):\n  File "services/report/nightly.py", line 21, in handle\nConnectionError: Billing does not answer'
      : "",
    cid: `c${id.toString(16).padStart(23, "0")}`,
  };
}

/** @param {string} job @returns {Schemas["RunSummary"][]} */
export function runs(job) {
  const every = job === "my.report.job" ? 10_000 : 24 * 60 * MINUTE;
  const phase = Date.now() % 10_000;
  const newest = Math.floor(Date.now() / 10_000) % 100_000;
  return Array.from({ length: 120 }, (_, index) => {
    const failed = job === "report.nightly" ? index < 2 : index % 41 === 7;
    return run(
      job,
      newest - index,
      index * every + phase,
      failed ? "error" : index % 29 === 11 ? "skipped" : "ok",
    );
  });
}

/** @returns {Schemas["JobSummary"][]} */
export function jobs() {
  return [
    job("my.report.job", "api.my-service", "every 10s", true, 10_000 - (Date.now() % 10_000)),
    job("report.nightly", "report.nightly", "cron 0 3 * * * in Europe/Berlin", true, 5 * 60 * MINUTE),
    {
      ...job("archive.once", "demo.ping", "at 2026-12-01T08:00:00Z", false, 0),
      next_at: null,
      last_run: null,
    },
  ];
}

/**
 * @param {string} name
 * @param {string} service
 * @param {string} schedule
 * @param {boolean} enabled
 * @param {number} nextMs
 * @returns {Schemas["JobSummary"]}
 */
function job(name, service, schedule, enabled, nextMs) {
  return { name, service, schedule, enabled, next_at: ago(-nextMs), last_run: runs(name)[0] };
}

/** @type {Schemas["KindDescription"][]} */
export const kinds = [
  {
    name: "rest-channel",
    title: "REST channel",
    group: "channel",
    schema: {
      type: "object",
      properties: {
        path: {
          type: "string",
          description: "The path, with parameters in braces.",
          examples: ["/users/{id}"],
        },
        service: { type: "string", description: "The service that is called.", "x-tenon-service": true },
        method: {
          description: "The method; any if not given.",
          anyOf: [{ type: "string", enum: ["GET", "POST", "PUT", "PATCH", "DELETE"] }, { type: "null" }],
        },
        data_format: {
          description: "How bodies are read and written.",
          oneOf: [
            { const: "json", description: "JSON both ways.", type: "string" },
            { const: "raw", description: "Bytes, as they come.", type: "string" },
          ],
          default: "json",
        },
        security: {
          type: "array",
          items: { type: "string" },
          default: [],
          description: "Who may call; anyone if empty.",
          "x-tenon-reference": ["api-key", "basic-auth"],
        },
        timeout: { type: "string", description: "How long a call may take.", default: "30s" },
        body_limit_bytes: {
          type: "integer",
          description: "The largest body.",
          default: 8_388_608,
          minimum: 0,
        },
        enabled: { type: "boolean", description: "Whether it is served.", default: true },
      },
      required: ["path", "service"],
    },
  },
  {
    name: "rest-outgoing",
    title: "REST",
    group: "outgoing",
    schema: {
      type: "object",
      properties: {
        url: { type: "string", description: "Where it is." },
        username: { type: ["string", "null"], description: "The user of basic authentication." },
        password: {
          anyOf: [{ type: "string", writeOnly: true, "x-tenon-secret": true }, { type: "null" }],
          description: "The password of basic authentication.",
        },
        headers: {
          type: "object",
          additionalProperties: { type: "string" },
          default: {},
          description: "Sent with every request.",
        },
        retry: {
          type: "object",
          description: "What happens when it does not answer.",
          properties: {
            attempts: { type: "integer", default: 3, minimum: 1, description: "How often it is tried." },
            backoff: { type: "string", default: "200ms", description: "The pause before the second try." },
          },
        },
      },
      required: ["url"],
    },
  },
  {
    name: "sql-outgoing",
    title: "SQL",
    group: "outgoing",
    schema: {
      type: "object",
      properties: {
        url: { type: "string", description: "Where the database is." },
        password: {
          type: "string",
          writeOnly: true,
          "x-tenon-secret": true,
          description: "The user's password.",
        },
        pool_size: { type: "integer", default: 5, minimum: 1, description: "Connections at most." },
      },
      required: ["url"],
    },
  },
  {
    name: "api-key",
    title: "API key",
    group: "security",
    schema: {
      type: "object",
      properties: {
        key: { type: "string", writeOnly: true, "x-tenon-secret": true, description: "The key." },
        header: { type: "string", default: "X-API-Key", description: "The header that holds it." },
      },
      required: ["key"],
    },
  },
  {
    name: "basic-auth",
    title: "Basic authentication",
    group: "security",
    schema: {
      type: "object",
      properties: {
        username: { type: "string" },
        password: { type: "string", writeOnly: true, "x-tenon-secret": true },
      },
      required: ["username", "password"],
    },
  },
  {
    name: "job",
    title: "Job",
    group: "schedule",
    schema: {
      type: "object",
      properties: {
        service: { type: "string", description: "The service that it calls.", "x-tenon-service": true },
        every: { type: ["string", "null"], description: "An interval.", examples: ["10s"] },
        cron: { type: ["string", "null"], description: "A cron expression." },
        payload: { description: "What the service gets." },
        enabled: { type: "boolean", default: true },
      },
      required: ["service"],
    },
  },
];

/** @returns {Schemas["BalancerState"]} */
export function balancer() {
  const uptime = (Date.now() - started) / 1000;
  const main = objects.find((each) => each.kind === "balancer")?.body;
  /** @type {{ name: string, weight?: number, state?: Schemas["BalancedState"] }[]} */
  const entries = /** @type {any} */ (main)?.servers ?? [];
  const servers = ["server1", "server2"].map((name, index) => {
    const entry = entries.find((each) => each.name === name);
    const state = dead.has(name) ? "dead" : (entry?.state ?? "in");
    return {
      name,
      address: `/env/${name}/run/data.sock`,
      state,
      weight: entry?.weight ?? 1,
      health: state === "dead" ? "dead" : "ready",
      in_flight: state === "in" ? 3 + index : 0,
      requests: Math.floor(uptime * (180 + index * 20)) + 120_000,
      failures: index * 4,
      latency_p50_ms: 0.84 + index * 0.1,
      latency_p99_ms: 6.2 + index,
    };
  });
  const certificate = (
    /** @type {string} */ name,
    /** @type {string[]} */ hosts,
    /** @type {number} */ days,
  ) => ({
    name,
    hosts,
    is_default: name === "default",
    not_before: ago(200 * 24 * 60 * MINUTE),
    not_after: ago(-days * 24 * 60 * MINUTE),
    fingerprint: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
  });
  return {
    age_ms: 300,
    report: {
      name: "load-balancer",
      instance: "0011223344556677",
      revision: 42,
      algorithm: "round-robin",
      traffic: {
        connections: 312,
        tls_connections: 290,
        h2_connections: 120,
        tls_failures: 2,
        requests: Math.floor(uptime * 380) + 240_000,
        errors: 12,
        refused: 431,
        queued: 0,
        retries: 7,
        unknown: 0,
        not_sent: 0,
      },
      servers,
      rules: [
        { name: "no-admin-from-outside", hits: 431, refused: 431, queued: 0 },
        { name: "search-limit", hits: Math.floor(uptime * 20), refused: 18, queued: 0 },
      ],
      certificates: [
        certificate("api", ["api.example.com"], 21),
        certificate("default", ["localhost", "127.0.0.1"], 165),
      ],
      problems: [],
    },
  };
}

/** @type {Schemas["Object"][]} */
export const objects = [
  object("rest-channel", "user-details", "tutorial.yaml", {
    path: "/tutorial/api/get-user-details",
    service: "api.my-service",
    security: ["partner"],
  }),
  object("rest-channel", "ping", null, { path: "/demo/ping", service: "demo.ping", method: "GET" }),
  object("rest-outgoing", "CRM", "tutorial.yaml", {
    url: "http://127.0.0.1:9000/get-user",
    password: "********",
    headers: { "X-Caller": "tenon" },
  }),
  object("sql-outgoing", "Billing", "tutorial.yaml", {
    url: "postgresql://billing@127.0.0.1:5432/billing",
    password: "********",
  }),
  object("api-key", "partner", "tutorial.yaml", { key: "********" }),
  object("job", "my.report.job", "tutorial.yaml", { service: "api.my-service", every: "10s" }),
];

/**
 * @param {string} kind
 * @param {string} name
 * @param {string | null} manifest
 * @param {Record<string, unknown>} body
 * @returns {Schemas["Object"]}
 */
export function object(kind, name, manifest, body) {
  return { kind, name, manifest, body, version: 1, revision: 12, updated_at: ago(3 * 60 * MINUTE) };
}
