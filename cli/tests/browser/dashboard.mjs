// Walks through the admin dashboard in a real Chromium and reports every check as JSON.
//
//   node dashboard.mjs '{"url": …, "chromium": …, "screenshots": …, "adminToken": …, …}'
//
// cli/tests/dashboard starts the server, fills it, and calls this. The last line on stdout is
// {"checks": [{"name", "ok", "detail"}], "finished": true}.

import https from "node:https";
import path from "node:path";
import { chromium } from "playwright-core";

import { faint, flags, tooWide } from "./look.mjs";

const wanted = JSON.parse(process.argv[2]);
const admin = `${wanted.url}/admin/`;
const checks = [];
const check = (name, ok, detail) => checks.push({ name, ok: ok === true, detail });
const equal = (name, seen, expected) =>
  check(name, JSON.stringify(seen) === JSON.stringify(expected), { seen, expected });

// How long anything may take on a machine that has much else to do.
const PATIENCE = 90_000;
const browser = await chromium.launch({
  executablePath: wanted.chromium, args: flags, timeout: PATIENCE,
});

// Whether something comes to hold.
const comes = async (holds) => {
  const end = Date.now() + PATIENCE;
  while (!(await holds())) {
    if (Date.now() > end) { return false; }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return true;
};

// A page in a context of its own, that keeps what a page should never do.
const open = async (options = {}) => {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const seen = { console: [], errors: [], dialogs: [], violations: [], requests: [] };
  await page.exposeBinding("reportViolation", (_, text) => seen.violations.push(text));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) =>
      window.reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) { seen.console.push(message.text()); }
  });
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("dialog", (dialog) => { seen.dialogs.push(dialog.message()); dialog.dismiss(); });
  page.on("request", (request) => seen.requests.push(request.url()));
  return { context, page, seen };
};

// `expected`: console lines of refused answers, which Chromium writes itself.
const quiet = (name, seen, expected = []) => {
  const rest = seen.console.filter((line) => !expected.some((text) => line.includes(text)));
  equal(`${name}: nothing on the console`, rest, []);
  equal(`${name}: no script error`, seen.errors, []);
  equal(`${name}: no dialog`, seen.dialogs, []);
  equal(`${name}: no CSP violation`, seen.violations, []);
  const elsewhere = seen.requests.filter((url) => !url.startsWith(admin) && url !== "data:,");
  equal(`${name}: asks nobody else`, elsewhere, []);
};

const shot = (page, name) =>
  page.screenshot({ path: path.join(wanted.screenshots, `${name}.png`) });

const logIn = async (page, token = wanted.adminToken) => {
  await page.goto(admin);
  await page.getByLabel("Admin token").fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
};

const exchange = (token) => new Promise((resolve, reject) => {
  const request = https.request(`${wanted.url}/exchange`, { method: "POST", rejectUnauthorized: false },
    (answer) => { answer.resume(); answer.on("end", () => resolve(answer.statusCode)); });
  request.on("error", reject);
  request.end(JSON.stringify({ id_token: token }));
});

const focus = (page) => page.evaluate(() => {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  return {
    name: element === document.body ? "outside" : element.id || element.textContent.trim(),
    outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
  };
});

const walk = async (page, steps) => {
  const stops = [];
  for (let n = 0; n < steps; n += 1) {
    await page.keyboard.press("Tab");
    stops.push(await focus(page));
  }
  return stops;
};

const cards = (page) => page.locator(".cards div").evaluateAll((all) =>
  Object.fromEntries(all.map((card) =>
    [card.querySelector("dt").textContent, card.querySelector("dd").textContent])));

const cookieOf = async (context) =>
  (await context.cookies()).find((cookie) => cookie.name === "talosctl_oidc_admin_session");

const stages = {
  async "login and table"() {
    const { context, page, seen } = await open();
    const answer = await page.goto(admin);
    const headers = answer.headers();
    equal("login page is 200", answer.status(), 200);
    const csp = headers["content-security-policy"] ?? "";
    check("CSP forbids by default", csp.includes("default-src 'none'"), csp);
    check("CSP has no unsafe source", !csp.includes("unsafe") && !csp.includes("*"), csp);
    check("CSP forbids framing", csp.includes("frame-ancestors 'none'"), csp);
    check("no HSTS", !("strict-transport-security" in headers), headers);
    equal("not stored", headers["cache-control"], "no-store");
    await shot(page, "login");
    equal("token field has the focus", (await focus(page)).name, "token");

    await logIn(page, "not the token");
    await page.getByRole("alert").waitFor();
    equal("wrong token is named", await page.getByRole("alert").textContent(), "Invalid admin token");
    equal("wrong token opens nothing", await cookieOf(context), undefined);
    equal("no session, no table", await page.locator("table").count(), 0);
    await shot(page, "login-wrong");
    quiet("login", seen, ["401"]);

    await logIn(page);
    await page.getByRole("table").waitFor();
    const cookie = await cookieOf(context);
    equal("session cookie",
      [cookie.httpOnly, cookie.secure, cookie.sameSite, cookie.path],
      [true, true, "Strict", "/admin/"]);
    const days = (cookie.expires - Date.now() / 1000) / 86400;
    check("session of 24 hours", days > 0.99 && days <= 1, days);

    equal("columns", await page.getByRole("columnheader").allTextContents(),
      ["Subject", "Email", "Roles", "Client IP", "Issued", "Expires", "TTL", "Status"]);
    const { Uptime: uptime, ...counts } = await cards(page);
    check("uptime is a duration", /^(\d+h)?(\d+m)?\d+s$/.test(uptime), uptime);
    const issued = String(wanted.issued);
    equal("cards", counts, {
      "Active Sessions": issued, "Total Certs Issued": issued,
      "Auth Successes": String(wanted.issued + 1), "Auth Failures": "1",
      "Access Denied": "1", "Cert Errors": "0",
    });
    const row = page.getByRole("row").filter({ hasText: "alice@example.com" });
    const cells = await row.getByRole("cell").allTextContents();
    equal("row of a certificate: who", cells.slice(0, 3),
      ["248289761001", "alice@example.com", "os:admin os:etcd:backup"]);
    check("row of a certificate: peer", /^127\.0\.0\.1:\d+$/.test(cells[3]), cells[3]);
    check("row of a certificate: times", cells.slice(4, 6).every((time) => /\d\d:\d\d:\d\d$/.test(time)), cells);
    equal("row of a certificate: state", cells.slice(6), ["30m0s", "Active"]);
    equal("newest first", await page.locator("tbody td").first().textContent(), "248289761001");

    const marked = page.getByRole("row").filter({ hasText: "mallory" });
    equal("markup in a claim is text", (await marked.getByRole("cell").allTextContents())[1], wanted.markup);
    equal("markup in a claim is no element", await page.locator("table img").count(), 0);
    await shot(page, "dashboard-light");
    equal("light: contrast", await faint(page), []);
    equal("wide: fits the window", await tooWide(page), 0);

    await page.getByRole("link", { name: "Older" }).click();
    await page.getByText(/^51 to/).waitFor();
    equal("second page holds the rest", await page.locator("tbody tr").count(), wanted.issued - 50);
    await page.getByRole("link", { name: "Newer" }).click();
    await page.getByText(/^1 to 50/).waitFor();
    await page.getByLabel("Search").fill("<IMG src=X");
    await page.getByRole("button", { name: "Find" }).click();
    await page.waitForURL(/q=/);
    equal("search finds markup as text", await page.locator("tbody tr").count(), 1);
    equal("search stays in its field", await page.getByLabel("Search").inputValue(), "<IMG src=X");
    await page.getByLabel("Search").fill("nobody at all");
    await page.keyboard.press("Enter");
    await page.getByText("No active session matches the search.").waitFor();
    await shot(page, "dashboard-no-match");
    quiet("dashboard", seen, ["401"]);

    for (const [format, kind] of [["CSV", /^text\/csv/], ["JSON", /^application\/json/]]) {
      const href = await page.getByRole("link", { name: format }).getAttribute("href");
      const file = await context.request.get(new URL(href, admin).href);
      check(`${format} export`, file.status() === 200 && kind.test(file.headers()["content-type"]),
        [file.status(), file.headers()["content-type"]]);
    }
    await context.close();
  },

  async "auto-refresh"() {
    const { context, page, seen } = await open();
    await logIn(page);
    await page.getByRole("table").waitFor();
    await page.evaluate(() => { window.sameDocument = true; });
    const region = page.getByRole("region", { name: "Active sessions" });
    await region.focus();
    equal("a certificate is issued meanwhile", await exchange(wanted.lateToken), 200);
    await page.getByText("late@example.com").waitFor({ timeout: PATIENCE });
    check("the table refreshes by itself", await page.evaluate(() => window.sameDocument === true));
    check("focus survives a refresh",
      await region.evaluate((element) => element === document.activeElement), await focus(page));
    equal("cards refresh too", (await cards(page))["Active Sessions"], String(wanted.issued + 1));

    await page.getByLabel("Auto-refresh").uncheck();
    const before = seen.requests.length;
    await page.waitForTimeout(6_000);
    equal("no refresh when switched off", seen.requests.length, before);
    await page.reload();
    check("the switch is remembered", !(await page.getByLabel("Auto-refresh").isChecked()));
    const sofar = seen.requests.length;
    await page.getByRole("link", { name: "Refresh" }).click();
    check("refresh by hand",
      await comes(() => seen.requests.slice(sofar).some((url) => url.includes("part=1"))), seen.requests);
    await page.getByLabel("Auto-refresh").check();
    quiet("refresh", seen);

    // The server cannot be reached for a while: the page says so instead of showing old numbers
    // as new ones.
    await context.setOffline(true);
    await page.getByText("not reachable").waitFor({ timeout: PATIENCE });
    await shot(page, "dashboard-offline");
    equal("offline: contrast", await faint(page), []);
    await context.setOffline(false);
    await page.getByText("not reachable").waitFor({ state: "hidden", timeout: PATIENCE });
    check("recovers without a reload", await page.locator("table").count() === 1);

    // The session ends in another tab.
    const other = await context.newPage();
    await other.goto(admin);
    await other.getByRole("button", { name: "Logout" }).click();
    await other.getByLabel("Admin token").waitFor();
    equal("logout deletes the cookie", await cookieOf(context), undefined);
    await page.getByLabel("Admin token").waitFor({ timeout: PATIENCE });
    check("an ended session leads to the login page", true);
    equal("session ended: no script error", seen.errors, []);
    equal("session ended: no CSP violation", seen.violations, []);
    await context.close();
  },

  async "keyboard only"() {
    const { context, page, seen } = await open();
    await page.goto(admin);
    await page.keyboard.type(wanted.adminToken);
    await page.keyboard.press("Enter");
    await page.getByRole("table").waitFor();
    const stops = await walk(page, 10);
    equal("tab order", stops.map((stop) => stop.name),
      ["auto", "refresh", "Logout", "q", "Find", "CSV", "JSON", "table", "older", "outside"]);
    equal("focus is visible", stops.filter((stop) => !stop.outlined && stop.name !== "outside"), []);
    await page.getByRole("link", { name: "Refresh" }).focus();
    const before = seen.requests.length;
    await page.keyboard.press("Enter");
    check("enter refreshes", await comes(() => seen.requests.length > before));
    equal("focus stays on the button", (await focus(page)).name, "refresh");
    await page.getByLabel("Auto-refresh").focus();
    await page.keyboard.press("Space");
    check("space switches", !(await page.getByLabel("Auto-refresh").isChecked()));
    await page.setViewportSize({ width: 390, height: 844 });
    await page.getByRole("region", { name: "Active sessions" }).focus();
    await page.keyboard.press("ArrowRight");
    check("arrows scroll a table that is too wide",
      await comes(() => page.locator(".wide").evaluate((element) => element.scrollLeft > 0)));
    await page.locator("#q").focus();
    await page.keyboard.type("mallory");
    await page.keyboard.press("Enter");
    await page.waitForURL(/q=mallory/);
    equal("enter searches", await page.locator("tbody tr").count(), 1);
    await page.getByRole("button", { name: "Logout" }).focus();
    await page.keyboard.press("Enter");
    await page.getByLabel("Admin token").waitFor();
    check("enter logs out", (await cookieOf(context)) === undefined);
    quiet("keyboard", seen);
    await context.close();
  },

  async "appearance"() {
    for (const [name, options] of [
      ["dark", { colorScheme: "dark" }],
      ["narrow-light", { viewport: { width: 360, height: 780 }, deviceScaleFactor: 2 }],
      ["narrow-dark", { viewport: { width: 360, height: 780 }, deviceScaleFactor: 2, colorScheme: "dark" }],
      ["forced-colors", { forcedColors: "active" }],
    ]) {
      const { context, page, seen } = await open(options);
      await page.goto(admin);
      await shot(page, `login-${name}`);
      equal(`${name}: login contrast`, await faint(page), []);
      equal(`${name}: login fits the window`, await tooWide(page), 0);
      await logIn(page);
      await page.getByRole("table").waitFor();
      await shot(page, `dashboard-${name}`);
      equal(`${name}: contrast`, await faint(page), []);
      equal(`${name}: fits the window`, await tooWide(page), 0);
      quiet(name, seen);
      await context.close();
    }
  },

  async "without scripts"() {
    const { context, page } = await open({ javaScriptEnabled: false });
    await logIn(page);
    await page.getByRole("table").waitFor();
    equal("refreshes as a whole", await page.locator("meta[http-equiv=refresh]").count(), 1);
    check("does not offer what needs scripts", !(await page.getByText("Auto-refresh").isVisible()));
    await shot(page, "dashboard-no-script");
    await page.getByRole("button", { name: "Logout" }).click();
    await page.getByLabel("Admin token").waitFor();
    await context.close();
  },

  async "policy holds"() {
    const { context, page, seen } = await open();
    await logIn(page);
    await page.getByRole("table").waitFor();
    const ran = await page.evaluate(async () => {
      const script = document.createElement("script");
      script.textContent = "window.pwned = true";
      document.body.append(script);
      const holder = document.createElement("div");
      holder.innerHTML = "<img src=x onerror='window.pwned = true'><p style='color:red'>x</p>";
      document.body.append(holder);
      let fetched = true;
      await fetch("https://elsewhere.invalid/").catch(() => { fetched = false; });
      await new Promise((resolve) => setTimeout(resolve, 300));
      return { pwned: window.pwned === true, fetched };
    });
    equal("injected code does not run", ran, { pwned: false, fetched: false });
    for (const directive of ["script-src", "style-src", "img-src", "connect-src"]) {
      check(`${directive} is enforced`,
        await comes(() => seen.violations.some((text) => text.startsWith(directive))), seen.violations);
    }
    await context.close();
  },

  // Last: this address is locked out afterwards.
  async "lock-out"() {
    const { context, page, seen } = await open();
    for (let n = 0; n < 5; n += 1) {
      await logIn(page, `guess ${n}`);
      await page.getByRole("alert").waitFor();
    }
    await logIn(page);
    const said = await page.getByRole("alert").textContent();
    check("locked out after five wrong tokens", /Too many failed attempts\. Try again in 15 minutes\./.test(said), said);
    equal("locked out: no session", await cookieOf(context), undefined);
    await shot(page, "login-locked");
    quiet("lock-out", seen, ["401", "429"]);
    await context.close();
  },
};

let finished = true;
for (const [name, stage] of Object.entries(stages)) {
  try {
    await stage();
  } catch (error) {
    finished = false;
    check(name, false, String(error));
  }
}
await browser.close();
console.log(JSON.stringify({ checks, finished, chromium: browser.version() }));
