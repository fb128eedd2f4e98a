// A person with a browser: signs in, looks at pages, and is held up by every
// violation that axe-core finds on them.
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const pictures = process.env.TOCSIN_SCREENSHOTS ?? path.join(tmpdir(), "tocsin-screenshots");
await mkdir(pictures, { recursive: true });

/** Starts Debian's Chromium; npm's own download needs the internet. */
export function browser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
}

const findings = new Set();

/** Fails with everything found on any page since the last verdict. */
export function verdict() {
  const all = [...findings];
  findings.clear();
  assert.deepEqual(all, [], "violations of WCAG 2.2 AA, or errors of the script");
}

export class Reader {
  static async signIn(chrome, demo, user, options = {}) {
    const context = await chrome.newContext({ viewport: { width: 1200, height: 900 }, locale: "en-GB", timezoneId: "Europe/London", ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    const r = new Reader(page, demo, user);
    page.on("pageerror", (e) => r.broken.push(String(e)));
    page.on("console", (m) => { if (m.type() === "error" && !/status of (400|401|403|404|409|422)/.test(m.text())) r.broken.push(m.text()); });
    await r.go("/signin");
    await r.fill("User", user);
    await r.fill("Password", demo.password(user));
    await r.press("Sign in");
    return r;
  }

  constructor(page, demo, user) {
    Object.assign(this, { page, demo, user, broken: [], looked: new Set() });
  }

  async go(where) { await this.page.goto(this.demo.url + where); await this.look(); }
  get path() { return new URL(this.page.url()).pathname; }

  /** Holds the page against WCAG 2.2 AA and takes its picture, once a page and state. */
  async look(name) {
    name ??= this.path.replace(/\d{4}-\d{3}/, "case").replace(/[0-9a-f]{8}-[0-9a-f-]{27}|[A-Za-z0-9_-]{24,}/g, "id").replaceAll("/", "_");
    await this.page.evaluate(axe);
    const found = await this.page.evaluate(() => globalThis.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }));
    const violations = found.violations.map((v) => `${v.id}: ${v.help}\n    ${v.nodes.slice(0, 3).map((n) => n.html).join("\n    ")}`);
    for (const v of [...violations, ...this.broken.splice(0)]) findings.add(`${name}: ${v}`);
    if (!this.looked.has(name)) await this.page.screenshot({ path: path.join(pictures, `${this.user}${name}.png`), fullPage: true });
    this.looked.add(name);
  }

  async fill(label, value) { await this.page.getByLabel(label, { exact: true }).fill(value); }
  async tick(label) { await this.page.getByLabel(label).first().check(); }
  async press(button) { await this.page.getByRole("button", { name: button }).first().click(); await this.page.waitForLoadState(); await this.look(); }
  async follow(link) { await this.page.getByRole("link", { name: link }).first().click(); await this.page.waitForLoadState(); await this.look(); }
  async sees(words) { await this.page.getByText(words).first().waitFor(); }

  /** Loads the page again until the words are there. */
  async waitFor(words, seconds = 60) {
    const end = Date.now() + 1000 * seconds;
    while (!(await this.page.getByText(words).first().isVisible())) {
      assert.ok(Date.now() < end, `${this.page.url()} did not come to say ${words}`);
      await this.page.waitForTimeout(300);
      await this.page.reload();
    }
  }

  // The keyboard alone.

  /** Tabs until the element has the focus, which must then be visible. */
  async tabTo(locator) {
    const target = locator.first();
    await target.waitFor();
    for (let i = 0; i < 400; i++) {
      if (await target.evaluate((el) => el === document.activeElement)) {
        const shown = await target.evaluate((el) => getComputedStyle(el).outlineStyle !== "none" && parseFloat(getComputedStyle(el).outlineWidth) >= 3);
        assert.ok(shown, "the focus cannot be seen");
        return;
      }
      await this.page.keyboard.press("Tab");
    }
    assert.fail(`Tab does not reach ${target}`);
  }

  async type(label, text) {
    await this.tabTo(this.page.getByLabel(label, { exact: true }));
    await this.page.keyboard.press("ControlOrMeta+A");
    await this.page.keyboard.insertText(text);
  }

  async keyPress(role, name, key = "Enter") {
    await this.tabTo(this.page.getByRole(role, { name }));
    await Promise.all([this.page.waitForNavigation(), this.page.keyboard.press(key)]);
    await this.look();
  }

  async keyTick(label) {
    const box = this.page.getByLabel(label);
    await this.tabTo(box);
    if (!(await box.first().isChecked())) await this.page.keyboard.press("Space");
  }
}

/** An instant as people type it, in London. */
export function inLondon(at) {
  const p = Object.fromEntries(new Intl.DateTimeFormat("en-GB", { timeZone: "Europe/London", year: "numeric", month: "2-digit", day: "2-digit",
    hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).formatToParts(at).map((x) => [x.type, x.value]));
  return `${p.year}-${p.month}-${p.day} ${p.hour}:${p.minute}`;
}

export const hoursAgo = (h) => inLondon(new Date(Date.now() - h * 3600e3));
