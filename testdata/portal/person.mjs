// A person at a browser: what they do, and what they would notice.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

let browser;

/** launch starts the browser that every person of this run uses. */
export async function launch(executablePath) {
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
}

export async function close() {
  await browser.close();
}

/** Person is one person, with a browser window of their own. */
export class Person {
  /** come opens a window on the portal. */
  static async come(base, { width = 1440, height = 900, script = true, dark = false, scale = 1, forced = false, axe = true } = {}) {
    const context = await browser.newContext({
      viewport: { width, height },
      javaScriptEnabled: script,
      deviceScaleFactor: scale,
      colorScheme: dark ? "dark" : "light",
      forcedColors: forced ? "active" : "none",
      permissions: ["clipboard-read", "clipboard-write"],
    });
    const page = await context.newPage();
    const person = Object.assign(new Person(base, context, page, script), { axe });
    page.on("console", (message) => person.complaints.push(`the console says: ${message.text()}`));
    page.on("pageerror", (error) => person.complaints.push(`the script fails: ${error}`));
    page.on("dialog", (dialog) => {
      person.complaints.push(`a dialog opens: ${dialog.message()}`);
      return dialog.dismiss();
    });
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== new URL(base).origin) person.complaints.push(`another host is asked: ${request.url()}`);
      if (/c[a-z0-9]*[kps]_\w{12}_\w{38}/.test(request.url())) person.complaints.push(`a secret is in an address: ${request.url()}`);
    });
    return person;
  }

  constructor(base, context, page, script) {
    // Chromium logs this if a person is in a field before autofocus chooses another.
    Object.assign(this, { base, context, page, script, axe: true, complaints: [], expected: ["Autofocus processing was blocked"] });
  }

  /** leave closes the window, and says what was not right. */
  async leave() {
    await this.context.close();
    const complaints = this.complaints.filter((text) => !this.expected.some((part) => text.includes(part)));
    assert.deepEqual(complaints, []);
  }

  /** expect takes back what is meant to be noticed. */
  expect(part) {
    this.expected.push(part);
  }

  async open(path) {
    const response = await this.page.goto(this.base + path);
    await this.look();
    return response;
  }

  async signIn(email, password, code) {
    await this.page.goto(`${this.base}/portal/signin`);
    await this.fill("E-mail", email);
    await this.fill("Password", password);
    await this.press("Sign in");
    if (code) {
      await this.fill("Code of your second factor", code);
      await this.press("Sign in");
    }
    await this.heading("Applications");
  }

  async fill(label, text) {
    await this.page.getByLabel(label, { exact: true }).fill(text);
  }

  async tick(label) {
    await this.page.getByLabel(label).first().check();
  }

  /** press activates a button and waits for the page that it leads to. */
  async press(name, within = this.page.getByRole("main")) {
    await Promise.all([this.page.waitForNavigation(), within.getByRole("button", { name, exact: true }).first().click()]);
    await this.look();
  }

  /** pressTwice activates a button again before the answer arrives, so the browser
   * drops that answer. The second answer leads to the page with the field. */
  async pressTwice(name, field) {
    const button = this.page.getByRole("main").getByRole("button", { name, exact: true });
    await button.scrollIntoViewIfNeeded();
    const { x, y, width, height } = await button.boundingBox();
    const click = () => this.page.mouse.click(x + width / 2, y + height / 2);
    let sent = 0;
    const dropped = new Promise((handled) => {
      this.page.route("**/*", async (route) => {
        if (route.request().method() !== "POST" || ++sent > 1) return route.continue();
        handled(await route.fetch({ maxRedirects: 0 }));
      });
    });
    await click();
    assert.equal((await dropped).status(), 303);
    await click();
    await this.page.getByLabel(field).waitFor();
    await this.page.unroute("**/*");
    assert.equal(sent, 2);
    await this.look();
  }

  async follow(name, within = this.page) {
    await Promise.all([this.page.waitForNavigation(), within.getByRole("link", { name, exact: true }).first().click()]);
    await this.look();
  }

  /** menu opens the menu of a row. */
  async menu(name) {
    await this.page.locator(`summary[aria-label="Actions for ${name}"]`).click();
  }

  /** heading wants the page to be headed so. */
  async heading(text) {
    assert.equal(await this.page.locator("h1").innerText(), text, await this.page.url());
  }

  async says(text) {
    assert.match(await this.page.getByRole("main").innerText(), text instanceof RegExp ? text : new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")));
  }

  /** look is what everyone does at every page: is it accessible, and does it fit? */
  async look() {
    if (this.script && this.axe) {
      const { violations } = await new AxeBuilder({ page: this.page })
        .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"])
        .analyze();
      for (const v of violations) {
        this.complaints.push(`axe: ${v.id} at ${this.page.url()}: ${v.nodes.map((n) => n.html).join(" ")}`);
      }
    }
    const overflow = await this.page.locator("html").evaluate((html) => html.scrollWidth - html.clientWidth).catch(() => 0);
    if (overflow > 0) this.complaints.push(`${this.page.url()} has to be scrolled sideways, by ${overflow} pixels`);
    const sources = await this.page.locator("style, [style], script:not([src]), [onclick]").count();
    if (sources > 0) this.complaints.push(`${this.page.url()} has style or script within the page`);
  }

  async picture(folder, name) {
    if (folder) await this.page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
  }
}

/** oneTimePassword is what an authenticator app shows (RFC 6238). */
export function oneTimePassword(secret, step = Math.floor(Date.now() / 30000)) {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  let bits = "";
  for (const c of secret) bits += alphabet.indexOf(c).toString(2).padStart(5, "0");
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => Number.parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac("sha1", key).update(counter).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1000000).padStart(6, "0");
}
