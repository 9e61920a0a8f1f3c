// A real browser on the dashboard, with what every test wants to know: did a script fail, was anything foreign asked for.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Where the browser is: TENON_CHROMIUM, or where Debian and others put it. */
function executable() {
  const places = [
    process.env.TENON_CHROMIUM,
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
  ];
  const found = places.find((place) => place && existsSync(place));
  if (!found) throw new Error("no Chromium: install the package chromium, or name one in TENON_CHROMIUM");
  return found;
}

/**
 * Opens a page and watches it.
 * @param {string} origin
 */
export async function open(origin) {
  const browser = await chromium.launch({ executablePath: executable(), args: FLAGS });
  const context = await browser.newContext({ viewport: { width: 1360, height: 860 } });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  /** @type {string[]} */
  const faults = [];
  page.on("pageerror", (error) => faults.push(`script error: ${error.message}`));
  page.on("console", (message) => {
    // The browser itself reports answers such as 401 to the console; they are part of the game.
    const expected = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !expected) faults.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !/^(data|blob):/.test(url)) faults.push(`asks a foreign host: ${url}`);
  });
  return { browser, page, faults };
}

/**
 * What a person with a screen reader would stumble over: things without a name, ids used twice, not exactly one heading of
 * the first level.
 * @param {import("playwright-core").Page} page
 * @returns {Promise<string[]>}
 */
export async function accessibilityProblems(page) {
  return page.evaluate(() => {
    /** @type {string[]} */
    const problems = [];
    /** @param {Element} element */
    const nameOf = (element) => {
      const labelledBy = (element.getAttribute("aria-labelledby") ?? "").split(" ").filter(Boolean);
      const label =
        element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement ? element.labels : null;
      return (
        element.getAttribute("aria-label") ||
        labelledBy.map((id) => document.getElementById(id)?.textContent ?? "").join(" ") ||
        [...(label ?? [])].map((each) => each.textContent).join(" ") ||
        element.textContent ||
        element.getAttribute("title") ||
        ""
      ).trim();
    };
    for (const element of document.querySelectorAll(
      "button, a[href], input:not([type=hidden]), textarea, select",
    )) {
      if (!element.closest("[aria-hidden=true]") && !nameOf(element))
        problems.push(`no name: ${element.outerHTML.slice(0, 120)}`);
    }
    for (const image of document.querySelectorAll("img:not([alt])"))
      problems.push(`no alt: ${image.outerHTML}`);
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    for (const id of new Set(ids.filter((each, at) => ids.indexOf(each) !== at)))
      problems.push(`id twice: ${id}`);
    const headings = document.querySelectorAll("h1").length;
    if (headings !== 1) problems.push(`${headings} headings of the first level`);
    if (!document.documentElement.lang) problems.push("no language");
    if (!document.title) problems.push("no title");
    return problems;
  });
}
