// A person's browser for `login`: opens the address it is given in a real Chromium, logs in at the
// provider's page (or cancels there), looks at the page of ours where that ends, and reports.
//
//   LOGIN_BROWSER='{"chromium": …, "account": …, "deny": …, …}' node login.mjs ADDRESS
//
// `login` itself starts it, by $BROWSER, --browser-command or xdg-open, so the wishes come in the
// environment and the report goes into a file: {"checks": [{"name", "ok", "detail"}], "title"}.

import fs from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";

import { faint, flags, tooWide } from "./look.mjs";

const wanted = JSON.parse(process.env.LOGIN_BROWSER);
const address = new URL(process.argv[2]);
const callback = new URL(address.searchParams.get("redirect_uri"));
const report = { checks: [], title: null, error: null };
const check = (name, ok, detail) => report.checks.push({ name, ok: ok === true, detail });
const equal = (name, seen, expected) =>
  check(name, JSON.stringify(seen) === JSON.stringify(expected), { seen, expected });

// The page is answered when the outcome is known; the file says whether that was so.
const talosconfigHas = (text) => {
  try { return fs.readFileSync(wanted.talosconfig, "utf8").includes(text); } catch { return false; }
};

// The pages of the npm package oidc-provider: login, consent, and a link to cancel.
const atCertifiedProvider = async (page) => {
  if (wanted.deny) { return page.getByText("[ Cancel ]").click(); }
  await page.locator("input[name=login]").fill(wanted.account);
  await page.locator("input[name=password]").fill("any");
  await page.getByRole("button", { name: "Sign-in" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
};

// The page of the development provider: a button for everybody, and one to cancel.
const atDemo = async (page) => {
  equal("provider: contrast", await faint(page), []);
  await shoot(page, "provider");
  const name = wanted.deny ? "Cancel" : new RegExp(`^${wanted.account}`);
  await page.getByRole("button", { name }).click();
};

const shoot = (page, name) => page.screenshot({
  path: path.join(wanted.screenshots, `callback-${wanted.name}-${name}.png`),
});

const browser = await chromium.launch({
  executablePath: wanted.chromium, args: flags, timeout: 90_000,
});
try {
  const context = await browser.newContext();
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const seen = { console: [], violations: [], dialogs: [], ours: [] };
  // A page of somebody else may ask for a font on the Internet. Not in a test.
  await page.route("**/*", (route) => {
    const { hostname, protocol } = new URL(route.request().url());
    return hostname === "127.0.0.1" || protocol === "data:" ? route.continue() : route.abort();
  });
  await page.exposeBinding("reportViolation", (_, text) => seen.violations.push(text));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) =>
      window.reportViolation(`${location.origin} ${event.violatedDirective} ${event.blockedURI}`));
  });
  const isOurs = (url) => url.startsWith(callback.origin);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && isOurs(message.location().url)) {
      seen.console.push(message.text());
    }
  });
  page.on("pageerror", (error) => { if (isOurs(page.url())) { seen.console.push(String(error)); } });
  page.on("dialog", (dialog) => { seen.dialogs.push(dialog.message()); dialog.dismiss(); });
  page.on("request", (request) => { if (isOurs(request.url())) { seen.ours.push(request); } });

  await page.goto(address.href);
  await (wanted.provider === "demo" ? atDemo : atCertifiedProvider)(page);
  await page.waitForURL(`${callback.origin}/done`);
  const ready = talosconfigHas("oidc:");
  const answer = await seen.ours[0].response();
  report.title = await page.title();
  report.text = await page.getByRole("main").innerText();
  equal("the heading is the title", await page.getByRole("heading").innerText(), report.title);
  equal("status", answer.status(), wanted.deny ? 400 : 200);
  equal("certificate in place when the page says so", ready, !wanted.deny);
  equal("one request to us", seen.ours.length, 1);
  equal("code and state are out of the history",
    await page.evaluate(() => [location.search, history.state]), ["", null]);
  // What a browser writes about every answer of 400.
  const rest = seen.console.filter((line) => !wanted.deny || !line.includes("status of 400"));
  equal("nothing on the console", rest, []);
  equal("no CSP violation", seen.violations.filter((line) => line.startsWith(callback.origin)), []);
  equal("no dialog", seen.dialogs, []);
  equal("no reference, no storage", await page.evaluate(() =>
    [document.cookie, localStorage.length, sessionStorage.length]), ["", 0, 0]);

  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await shoot(page, colorScheme);
    equal(`${colorScheme}: contrast`, await faint(page), []);
  }
  await page.setViewportSize({ width: 320, height: 568 });
  equal("narrow: fits the window", await tooWide(page), 0);
  await shoot(page, "narrow");
} catch (error) {
  report.error = String(error);
} finally {
  await browser.close();
  // By rename: who waits for the report reads it whole.
  fs.writeFileSync(`${wanted.report}.part`, JSON.stringify(report));
  fs.renameSync(`${wanted.report}.part`, wanted.report);
}
