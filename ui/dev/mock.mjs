// The dashboard's API without a cluster, for work on the interface: `npm run dev:mock`, then `npm run dev` (or the built
// interface at this address). User admin, password admin. POST /mock/kill?name=server1 and /mock/revive kill and revive a
// component; POST /mock/down and /mock/up make every server unreachable and back.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import * as data from "./data.mjs";

const port = Number(process.env.PORT ?? 8190);
const dist = fileURLToPath(new URL("../dist", import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
// The same as the dashboard's (crates/tenon-dashboard/src/guard.rs), so that what it forbids is noticed here.
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
  "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
let down = false;

/** @typedef {{ status: number, body: unknown, headers?: Record<string, string> }} Answer */
/** @typedef {{ path: string, query: URLSearchParams, body: any, params: string[] }} Call */

/** @param {unknown} body @returns {Answer} */
const ok = (body) => ({ status: 200, body });

/** @param {number} status @param {string} title @param {string} detail @param {unknown[]} errors @returns {Answer} */
const problem = (status, title, detail, errors = []) => ({
  status,
  body: { type: "tenon:mock", title, status, detail, cid: "0123456789abcdef01234567", errors },
});

/** @template T @param {T[]} items @param {URLSearchParams} query */
function page(items, query) {
  const from = Number(query.get("after") ?? 0);
  const limit = Number(query.get("limit") ?? 100);
  const next = from + limit < items.length ? String(from + limit) : undefined;
  return ok({ items: items.slice(from, from + limit), next });
}

/** @param {Call} call @returns {Answer} */
function invoke({ params: [name], body }) {
  if (body.payload === "fail") return problem(502, "Worker died", "The worker that ran the service died.");
  const payload = {
    user_name: body.payload?.name ?? "Jane Doe",
    customer: "ACME",
    balance: 357.9,
    service: name,
  };
  return ok({
    status: 200,
    content_type: "application/json",
    payload,
    cid: "7f3a9c0e5b1d2f4a6c8e0b2d",
    duration_ms: 3.42,
    deployment: 7,
  });
}

/** @param {string | undefined} kind @param {string | undefined} name */
const find = (kind, name) => data.objects.find((object) => object.kind === kind && object.name === name);

/** @param {Call} call @returns {Answer} */
function putObject({ params: [kind = "", name = ""], query, body }) {
  const known = find(kind, name);
  const expected = query.get("if_version");
  if (expected !== null && Number(expected) !== (known?.version ?? 0)) {
    return problem(409, "Version conflict", `${kind}/${name} has version ${known?.version ?? 0}`);
  }
  if (body.body.path && !body.body.path.startsWith("/")) {
    return problem(400, "Invalid object", "", [{ field: "path", message: "a path begins with a slash" }]);
  }
  const changed = known ?? data.object(kind, name, null, {});
  changed.version = (known?.version ?? 0) + 1;
  changed.body = body.body;
  changed.updated_at = data.ago(0);
  if (!known) data.objects.push(changed);
  return ok({ revision: 43, version: changed.version, acknowledged: true });
}

/** @param {Call} call @returns {Answer} */
function deleteObject({ params: [kind, name] }) {
  const at = data.objects.findIndex((object) => object.kind === kind && object.name === name);
  if (at < 0) return problem(404, "Not found", "There is no such object.");
  data.objects.splice(at, 1);
  return ok({ revision: 44, version: 0, acknowledged: true });
}

/** @param {Call} call @returns {Answer} */
function rollBack({ params: [number] }) {
  const source = data.deployments.find((each) => each.number === Number(number));
  const newest = data.deployments[0];
  if (!source || !newest) return problem(404, "Not found", "There is no such deployment.");
  for (const each of data.deployments) if (each.state === "live") each.state = "superseded";
  const created = {
    ...source,
    number: newest.number + 1,
    state: /** @type {const} */ ("live"),
    source: `roll-back to ${number}`,
    created_at: data.ago(0),
  };
  data.deployments.unshift(created);
  return ok(created);
}

/** @param {unknown} found @returns {Answer} */
const orNotFound = (found) =>
  found ? ok(found) : problem(404, "Not found", "There is nothing of that name.");

/** @type {[string, RegExp, (call: Call) => Answer][]} */
const ROUTES = [
  [
    "GET",
    /^sessions\/current$/,
    () => ok({ user: "admin", access: "admin", expires_at: data.ago(-3_600_000) }),
  ],
  ["GET", /^status$/, () => ok(data.status())],
  ["GET", /^balancers$/, () => ok({ items: data.dead.has("load-balancer") ? [] : [data.balancer()] })],
  ["GET", /^services$/, ({ query }) => page(data.services, query)],
  [
    "GET",
    /^services\/([^/]+)$/,
    ({ params: [name] }) => orNotFound(data.services.find((each) => each.name === name)),
  ],
  ["POST", /^services\/([^/]+)\/invoke$/, invoke],
  ["GET", /^deployments$/, ({ query }) => page(data.deployments, query)],
  [
    "GET",
    /^deployments\/([^/]+)$/,
    ({ params: [number] }) => {
      const found = data.deployments.find((each) => each.number === Number(number));
      return orNotFound(found && data.detail(found));
    },
  ],
  ["POST", /^deployments\/([^/]+)\/rollback$/, rollBack],
  ["GET", /^jobs$/, ({ query }) => page(data.jobs(), query)],
  [
    "GET",
    /^jobs\/([^/]+)$/,
    ({ params: [name] }) => orNotFound(data.jobs().find((each) => each.name === name)),
  ],
  [
    "GET",
    /^jobs\/([^/]+)\/runs$/,
    ({ params: [name = ""], query }) => page(name === "archive.once" ? [] : data.runs(name), query),
  ],
  ["POST", /^jobs\/([^/]+)\/run$/, ({ params: [name = ""] }) => ok(data.run(name, 99_999, 0, "waiting"))],
  [
    "GET",
    /^jobs\/([^/]+)\/verify$/,
    ({ params: [job] }) =>
      ok({
        job,
        since: data.ago(86_400_000),
        planned: 8640,
        ran: 8637,
        open: 1,
        missed_by_policy: 2,
        duplicates: 0,
        overlapping_attempts: 0,
        lost: 0,
      }),
  ],
  ["GET", /^kinds$/, () => ok({ items: data.kinds })],
  [
    "GET",
    /^objects$/,
    ({ query }) =>
      page(
        data.objects.filter((each) => !query.get("kind") || each.kind === query.get("kind")),
        query,
      ),
  ],
  ["GET", /^objects\/([^/]+)\/([^/]+)$/, ({ params: [kind, name] }) => orNotFound(find(kind, name))],
  ["PUT", /^objects\/([^/]+)\/([^/]+)$/, putObject],
  ["DELETE", /^objects\/([^/]+)\/([^/]+)$/, deleteObject],
  [
    "POST",
    /^objects\/([^/]+)\/([^/]+)\/ping$/,
    ({ params: [, name] }) => ok({ ok: name === "CRM", detail: "connection refused", duration_ms: 12 }),
  ],
];

/** @param {import("node:http").IncomingMessage} request */
async function read(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text ? JSON.parse(text) : {};
}

/** @param {string} method @param {URL} url @param {any} body @param {string} cookie @returns {Answer} */
function answer(method, url, body, cookie) {
  const { pathname, searchParams: query } = url;
  if (pathname === "/mock/kill") data.dead.add(query.get("name") ?? "");
  if (pathname === "/mock/revive") data.dead.clear();
  if (pathname === "/mock/down") down = true;
  if (pathname === "/mock/up") down = false;
  if (pathname.startsWith("/mock/")) return ok({});
  if (down) return problem(503, "No server answers", "None of the cluster's 2 servers can be reached.");
  if (pathname === "/api/login") {
    if (body.password !== "admin") return problem(401, "Unauthorized", "User and password don't match.");
    return {
      ...ok({ user: "admin" }),
      headers: { "set-cookie": "tenon_session=mock; HttpOnly; SameSite=Strict; Path=/" },
    };
  }
  if (pathname === "/api/logout")
    return { ...ok({}), headers: { "set-cookie": "tenon_session=; Max-Age=0; Path=/" } };
  if (!cookie.includes("tenon_session=mock")) return problem(401, "Unauthorized", "Log in first.");
  const path = pathname.slice("/api/v1/".length);
  for (const [routeMethod, pattern, handle] of ROUTES) {
    const found = routeMethod === method ? pattern.exec(path) : null;
    if (found) return handle({ path, query, body, params: found.slice(1).map(decodeURIComponent) });
  }
  return problem(404, "Not found", `The mock does not know ${method} ${pathname}.`);
}

/** @param {string} pathname */
async function file(pathname) {
  const path = join(dist, normalize(pathname));
  const found = await readFile(path).catch(() => undefined);
  if (found) return { content: found, type: TYPES[/** @type {keyof typeof TYPES} */ (extname(path))] };
  return { content: await readFile(join(dist, "index.html")), type: "text/html" };
}

createServer(async (request, response) => {
  const url = new URL(request.url ?? "/", "http://mock");
  if (!url.pathname.startsWith("/api/") && !url.pathname.startsWith("/mock/")) {
    const { content, type } = await file(url.pathname);
    response
      .writeHead(200, {
        "content-type": type ?? "application/octet-stream",
        "content-security-policy": CONTENT_SECURITY_POLICY,
      })
      .end(content);
    return;
  }
  const { status, body, headers } = answer(
    request.method ?? "GET",
    url,
    await read(request),
    request.headers.cookie ?? "",
  );
  const type = status < 400 ? "application/json" : "application/problem+json";
  response.writeHead(status, { "content-type": type, ...headers }).end(JSON.stringify(body));
}).listen(port, "127.0.0.1", () => console.log(`The mock answers at http://127.0.0.1:${port}`));
