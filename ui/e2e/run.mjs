// The dashboard in a real browser, against a cluster that runs.
//
//   node ui/e2e/run.mjs --url http://127.0.0.1:8183 --user admin --password-file F
//        [--component NAME]… [--service NAME] [--payload JSON] [--screenshots DIR]
//   node ui/e2e/run.mjs --url … --password-file F --expect-dead server1 [--within 2000] [--kill-pid PID]
//
// The second form opens the overview, says "ready" on standard output and waits for that component to show as dead, without
// a reload. The time runs from the moment that it kills PID itself, or else from a line on its standard input.
import { mkdir, readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { accessibilityProblems, open } from "./browser.mjs";

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    user: { type: "string", default: "admin" },
    "password-file": { type: "string" },
    component: { type: "string", multiple: true, default: [] },
    service: { type: "string" },
    payload: { type: "string", default: "{}" },
    screenshots: { type: "string" },
    "expect-dead": { type: "string" },
    within: { type: "string", default: "2000" },
    "kill-pid": { type: "string" },
  },
});
if (!options.url || !options["password-file"]) {
  console.error("usage: run.mjs --url URL --password-file FILE [--user admin] …; see the head of this file");
  process.exit(2);
}

const origin = new URL(options.url).origin;
const password = (await readFile(options["password-file"], "utf8")).trim();
const { browser, page, faults } = await open(origin);

/** @param {unknown} condition @param {string} message */
function check(condition, message) {
  if (!condition) throw new Error(message);
}

/** @param {string} name @param {() => Promise<void>} body */
async function step(name, body) {
  const began = performance.now();
  try {
    await body();
  } catch (error) {
    if (options.screenshots) await page.screenshot({ path: `${options.screenshots}/failure.png` });
    throw new Error(`${name}: ${error instanceof Error ? error.message : error}`);
  }
  console.log(`ok   ${name} (${Math.round(performance.now() - began)} ms)`);
}

/** @param {string} what */
async function accessible(what) {
  const problems = await accessibilityProblems(page);
  check(problems.length === 0, `${what} is not accessible:\n  ${problems.join("\n  ")}`);
}

async function signIn() {
  await page.goto(origin);
  await page.getByLabel("User", { exact: true }).fill(options.user ?? "admin");
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}

/** @param {string} place */
const goTo = (place) =>
  page.getByRole("navigation", { name: "Places" }).getByText(place, { exact: true }).click();

async function wrongPassword() {
  await page.goto(origin);
  await page.getByLabel("Password", { exact: true }).fill("certainly-wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("User and password don't match").waitFor();
  await accessible("the login screen");
}

async function overview() {
  await page.locator("tr[data-component]").first().waitFor();
  const shown = await page.locator("tr[data-component]").evaluateAll((rows) =>
    rows.map((row) => ({
      name: row.getAttribute("data-component"),
      ready: row.getAttribute("data-ready"),
    })),
  );
  for (const wanted of options.component ?? []) {
    await page.locator(`tr[data-component="${wanted}"][data-ready="true"]`).waitFor();
  }
  check(
    shown.some(({ name }) => name?.startsWith("server")),
    `no server among ${JSON.stringify(shown)}`,
  );
  check(await page.locator(".verdict-text").textContent(), "no verdict");
  await accessible("the overview");
}

async function invokeService() {
  await goTo("Services");
  await page.getByRole("heading", { name: "Services" }).waitFor();
  await page.keyboard.press("/");
  const link = options.service
    ? page.getByRole("link", { name: options.service, exact: true })
    : page.locator("tbody a.name-cell").first();
  await page.keyboard.type((await link.textContent()) ?? "");
  await link.click();
  const asJson = page.getByText("JSON", { exact: true });
  await page.getByRole("button", { name: "Invoke" }).waitFor();
  if (await asJson.isVisible()) await asJson.click();
  await page.getByLabel("Payload").fill("{");
  await page.getByText("Not JSON").waitFor();
  await page.getByLabel("Payload").fill(options.payload ?? "{}");
  await page.getByRole("button", { name: "Invoke" }).click();
  const answer = page.getByTestId("answer");
  await answer.waitFor();
  const status = await answer.getAttribute("data-status");
  check(status === "200", `the service answered with ${status}: ${await answer.textContent()}`);
  await accessible("a service");
}

async function deployments() {
  await goTo("Deployments");
  await page.locator("tr[data-deployment]").first().getByRole("link").first().click();
  await page.getByRole("heading", { name: /^Deployment #/ }).waitFor();
  await page.getByRole("heading", { name: "Files" }).waitFor();
  await accessible("a deployment");
}

async function jobs() {
  await goTo("Jobs");
  await page.locator("tr[data-job]").first().waitFor();
  await accessible("the jobs");
  await page.locator("tr[data-job]").first().getByRole("link").first().click();
  await page.getByRole("heading", { name: "Ledger" }).waitFor();
  await page.locator("tr[data-run]").first().waitFor();
  await page.locator("tr[data-run]").first().getByRole("button").click();
  await page.getByText("Correlation id").waitFor();
  check(new URL(page.url()).searchParams.has("run"), "the opened run is not in the URL");
  await accessible("a job");
}

/** @param {string} name @param {string} action @param {string} confirm */
async function changeServer(name, action, confirm) {
  await page.getByRole("button", { name: `${action}: ${name}` }).click();
  const dialog = page.getByRole("dialog");
  if (action === "Weight") await dialog.getByLabel("Weight").fill("3");
  await dialog.getByRole("button", { name: confirm }).click();
  await dialog.waitFor({ state: "detached" });
}

async function loadBalancer() {
  await goTo("Load balancer");
  const server = (/** @type {string} */ attributes) => page.locator(`tr[data-server="server2"]${attributes}`);
  const patience = { timeout: 30_000 };
  await server('[data-state="in"]').waitFor(patience);
  await page.locator('tr[data-certificate="default"]').waitFor();
  await accessible("the load balancer");
  await changeServer("server2", "Drain", "Drain");
  await server('[data-state="drain"]').waitFor(patience);
  await changeServer("server2", "Take back", "Take back");
  await server('[data-state="in"]').waitFor(patience);
  await changeServer("server2", "Weight", "Save");
  await server('[data-weight="3"]').waitFor(patience);
}

async function objects() {
  await goTo("Objects");
  await page.getByRole("navigation", { name: "Kinds" }).waitFor();
  await page.locator("tbody a.name-cell").first().click();
  await page.getByRole("heading", { name: "Fields" }).waitFor();
  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByRole("button", { name: "Save" }).waitFor();
  await accessible("the form of an object");
}

async function deepLink() {
  const url = page.url();
  await page.reload();
  await page.getByRole("button", { name: "Save" }).waitFor();
  check(page.url() === url, `a reload of ${url} led to ${page.url()}`);
}

async function signOut() {
  await page.getByRole("button", { name: /^User / }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("button", { name: "Sign in" }).waitFor();
  const after = await page.evaluate(async () => (await fetch("/api/v1/status")).status);
  check(after === 401, `after signing out the API answers ${after}`);
}

/** Every screen, light and dark. @param {string} directory */
async function screenshots(directory) {
  await mkdir(directory, { recursive: true });
  const visited = new Map([["overview", "/"]]);
  for (const [list, place] of [
    ["services", "/services"],
    ["deployments", "/deployments"],
    ["jobs", "/jobs"],
    ["objects", "/objects"],
  ]) {
    visited.set(list ?? "", place ?? "");
    await page.goto(origin + place);
    const first = page.locator("tbody a.name-cell").first();
    await first.waitFor();
    visited.set(`${list}-detail`, (await first.getAttribute("href")) ?? "/");
  }
  visited.set("load-balancer", "/load-balancer");
  visited.set("objects-edit", `${visited.get("objects-detail")}/edit`);
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    await page.emulateMedia({ colorScheme });
    for (const [name, path] of visited) {
      await page.goto(origin + path);
      await page.waitForLoadState("networkidle", { timeout: 2000 }).catch(() => undefined);
      await page.screenshot({ path: `${directory}/${name}-${colorScheme}.png` });
    }
  }
}

/** @param {string} name */
async function expectDead(name) {
  await page.locator(`tr[data-component="${name}"][data-ready="true"]`).waitFor({ timeout: 30_000 });
  await page.evaluate((wanted) => {
    const watch = /** @type {any} */ (window);
    watch.tenonLoadedOnce = true;
    const look = () => {
      const state = document.querySelector(`tr[data-component="${wanted}"]`)?.getAttribute("data-state");
      if (state === "dead") watch.tenonDeadAt ??= Date.now();
      requestAnimationFrame(look);
    };
    look();
  }, name);
  console.log("ready");
  const killedAt = await killed();
  const within = Number(options.within);
  await page.waitForFunction(() => /** @type {any} */ (window).tenonDeadAt, null, {
    timeout: within + 10_000,
  });
  const seen = await page.evaluate(() => {
    const watch = /** @type {any} */ (window);
    return { deadAt: watch.tenonDeadAt, sameLoad: watch.tenonLoadedOnce === true };
  });
  check(seen.sameLoad, "the page was loaded anew meanwhile");
  const took = seen.deadAt - killedAt;
  if (options.screenshots) {
    await mkdir(options.screenshots, { recursive: true });
    await page.screenshot({ path: `${options.screenshots}/dead.png` });
  }
  console.log(`     ${name} showed as dead after ${took} ms`);
  check(took <= within, `${name} showed as dead after ${took} ms, more than ${within}`);
}

/** The moment of the kill. @returns {Promise<number>} */
async function killed() {
  const pid = Number(options["kill-pid"]);
  if (pid > 1) {
    const now = Date.now();
    process.kill(pid, "SIGKILL");
    return now;
  }
  for await (const _ of createInterface({ input: process.stdin })) return Date.now();
  throw new Error("standard input ended before a line said that the component was killed");
}

try {
  const dead = options["expect-dead"];
  if (dead) {
    await step("signs in", signIn);
    await step(`sees ${dead} die`, () => expectDead(dead));
  } else {
    await step("refuses a wrong password", wrongPassword);
    await step("signs in", signIn);
    await step("shows the components", overview);
    await step("invokes a service", invokeService);
    await step("shows deployments", deployments);
    await step("shows jobs and their runs", jobs);
    if (options.component?.includes("load-balancer"))
      await step("drains a server and takes it back", loadBalancer);
    await step("shows objects as forms", objects);
    await step("keeps its place over a reload", deepLink);
    const directory = options.screenshots;
    if (directory) await step("takes screenshots", () => screenshots(directory));
    await step("signs out", signOut);
  }
  check(faults.length === 0, `the page had faults:\n  ${faults.join("\n  ")}`);
  console.log("passed");
} catch (error) {
  console.error(`FAILED ${error instanceof Error ? error.message : error}`);
  if (faults.length > 0) console.error(`faults of the page:\n  ${faults.join("\n  ")}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
