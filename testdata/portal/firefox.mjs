// One round through the portal in Firefox, by keyboard alone. Playwright drives a
// Firefox of its own, so Puppeteer drives the one of the system, by WebDriver BiDi.
// It is run with the name of a task; the rest is in the environment.

import assert from "node:assert/strict";
import puppeteer from "puppeteer-core";

const { BASE: base, EMAIL: email, PASSWORD: password, FIREFOX: firefox } = process.env;

let page;

/** focused is what the element with the focus is called. */
const focused = () => page.evaluate(() => {
  const e = document.activeElement;
  return (e.labels?.[0]?.innerText || e.getAttribute("aria-label") || e.innerText || e.value || "").trim();
});

/** to presses the tabulator until the focus is on what has this name, and is seen. */
async function to(name, selector = "*") {
  for (let n = 0; n < 120; n++) {
    await page.keyboard.press("Tab");
    const is = await page.evaluate((wanted) => document.activeElement.matches(wanted), selector);
    if (!is || !(await focused()).startsWith(name)) continue;
    const { outline, box } = await page.evaluate(() => {
      const e = document.activeElement;
      return { outline: getComputedStyle(e).outlineStyle, box: e.getBoundingClientRect().toJSON() };
    });
    assert.notEqual(outline, "none", `the focus on ${name} can't be seen`);
    assert.ok(box.bottom > 0 && box.top < page.viewport().height, `${name} is out of the window`);
    return;
  }
  assert.fail(`the tabulator doesn't come to ${name} at ${page.url()}`);
}

/** enter presses Enter and waits for the next page. */
async function enter() {
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
}

/** open goes to a link or a button, and presses it. */
async function open(name) {
  await to(name, "a, button");
  await enter();
}

const heading = async (text) => assert.equal(await page.$eval("h1", (e) => e.innerText), text, page.url());
const says = async (text) => assert.match(await page.$eval("main", (e) => e.innerText), text);

async function status(key) {
  const answer = await fetch(`${base}/v2/users/me/apps/fox/inputs`, { headers: { Authorization: `Key ${key}` } });
  await answer.text();
  return answer.status;
}

/** keyboard signs in, makes a key, changes it, and revokes it. */
async function keyboard() {
  await page.goto(`${base}/portal`);
  await page.waitForFunction(() => document.activeElement.id === "email");
  await page.keyboard.type(email);
  await to("Password");
  await page.keyboard.type(password);
  await enter();
  await heading("Applications");
  await to("Name", "input");
  await page.keyboard.type("Fox");
  await to("ID", "input");
  await page.keyboard.type("fox");
  await enter();
  await heading("Application created");
  await open("I have copied it");

  await open("Create an API key");
  await to("Description", "input");
  await page.keyboard.type("by keyboard");
  await to("Inputs:Get", "[name=scope]");
  await page.keyboard.press(" ");
  await open("Review");
  await says(/It can call \d+ of \d+ operations/);
  await open("Create the key");
  await heading("Your new key");
  await page.waitForFunction(() => document.activeElement.id === "secret");
  const key = await page.$eval("#secret", (e) => e.value);
  assert.equal(await status(key), 200);
  await open("I have copied it");
  await page.goBack();
  await says(/This key was shown once/);
  assert.ok(!(await page.content()).includes(key));
  await open("Open the key");

  await open("Change");
  await to("Description", "input");
  await page.keyboard.type("changed by keyboard");
  await open("Review");
  await open("Save the changes");
  await heading("changed by keyboard");
  await says(/The changes are in effect/);
  await open("Revoke");
  await open("Revoke");
  await says(/Revoked\. Requests are refused from now on\./);
  assert.equal(await status(key), 401);
}

const tasks = { firefox: keyboard };

const browser = await puppeteer.launch({ browser: "firefox", executablePath: firefox, headless: true });
try {
  page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  await page.setViewport({ width: 1280, height: 800 });
  await tasks[process.argv[2]]();
} finally {
  await browser.close();
}
