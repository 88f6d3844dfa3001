// A person limits a key with the keyboard alone: how much, from where and for which
// models the key can be used. The argument is the name of a task, and the rest comes
// from the environment.

import assert from "node:assert/strict";
import { Person, close, launch } from "./person.mjs";

const { BASE: base, EMAIL: email, PASSWORD: password, PICTURES: pictures, CHROMIUM: chromium } = process.env;

/** status is what the gate answers to a key that asks a model. */
async function status(key, model) {
  const answer = await fetch(`${base}/v2/users/me/apps/alice-app/models/${model}/outputs`, { method: "POST", headers: { Authorization: `Key ${key}` } });
  await answer.text();
  return answer.status;
}

/** focused is the ID of the element with the focus, or else what it is called: a preset may be called like a scope. */
const focused = (ada) => ada.page.evaluate(() => {
  const e = document.activeElement;
  return e.id || (e.name === "scope" ? `scope ${e.value}` : e.innerText) || e.value || "";
});

/** tabTo presses the tabulator until the focus is on what has this name, and returns how often. */
async function tabTo(ada, name) {
  for (let n = 1; n <= 60; n++) {
    await ada.page.keyboard.press("Tab");
    if ((await focused(ada)) !== name) continue;
    const { top, bottom } = await ada.page.evaluate(() => document.activeElement.getBoundingClientRect().toJSON());
    assert.ok(bottom > 0 && top < ada.page.viewportSize().height, `${name} is out of the window`);
    return n;
  }
  assert.fail(`the tabulator doesn't come to ${name}`);
}

async function enter(ada) {
  await Promise.all([ada.page.waitForNavigation(), ada.page.keyboard.press("Enter")]);
  await ada.look();
}

/** type replaces what is in a field. */
async function type(ada, field, text) {
  await tabTo(ada, field);
  await ada.page.keyboard.press("Control+A");
  if (text === "") await ada.page.keyboard.press("Delete");
  else await ada.page.keyboard.type(text);
}

/** fields wants the fields to be shown, with these values. */
async function fields(ada, values) {
  assert.ok(await ada.page.locator("#limits").evaluate((details) => details.open), "the fields are folded");
  for (const [id, value] of Object.entries(values)) assert.equal(await ada.page.locator(`#${id}`).inputValue(), value, id);
}

async function limits(options) {
  const ada = await Person.come(base, options);
  await ada.page.emulateMedia({ reducedMotion: "reduce" }); // so that the focused element is in view at once
  const picture = (name) => ada.picture(pictures, `limits-${options.width}-${name}`);
  await ada.signIn(email, password);

  // A key without limits takes few presses, because the fields are folded.
  await ada.open("/portal/apps/alice-app/new");
  assert.equal(await ada.page.getByLabel("Rate", { exact: true }).isVisible(), false);
  let presses = await tabTo(ada, "description");
  presses += await tabTo(ada, "Review");
  await enter(ada);
  presses += await tabTo(ada, "Create the key");
  assert.ok(presses <= 40, `${presses} presses of the tabulator`);

  // A key with limits. An error is shown at its field, and nothing is lost.
  await ada.open("/portal/apps/alice-app/new");
  await type(ada, "description", "limited");
  await tabTo(ada, "scope Predict");
  await ada.page.keyboard.press("Space");
  await tabTo(ada, "Limits");
  await enterSummary(ada);
  await tabTo(ada, "plan");
  await ada.page.keyboard.type("free");
  await type(ada, "rate", "ten");
  await type(ada, "quota", "1000/month");
  await type(ada, "concurrent", "5");
  await type(ada, "addresses", "127.0.0.0/8\n::1");
  await type(ada, "resource-model", "llama-3*\ngpt");
  await picture("form");
  await tabTo(ada, "Review");
  await enter(ada);
  await ada.says('Rate "ten": say per second');
  assert.equal(await ada.page.locator('[aria-invalid="true"]').getAttribute("id"), "rate");
  await fields(ada, { plan: "free", rate: "ten", quota: "1000/month", concurrent: "5", addresses: "127.0.0.0/8\n::1", "resource-model": "llama-3*\ngpt" });
  await picture("wrong");
  await type(ada, "rate", "100/m burst 20");
  await tabTo(ada, "Review");
  await enter(ada);
  for (const text of ["100 requests a minute, at most 20 at once", "1,000 a month", "5 requests at the same time", "127.0.0.0/8, ::1", "llama-3*, gpt"]) await ada.says(text);
  await picture("review");
  await tabTo(ada, "Back to the form");
  await enter(ada);
  await fields(ada, { plan: "free", rate: "100/m burst 20", addresses: "127.0.0.0/8\n::1" });
  await tabTo(ada, "Review");
  await enter(ada);
  await tabTo(ada, "Create the key");
  await enter(ada);
  const key = await ada.page.getByLabel("Your key").inputValue();
  const path = new URL(ada.page.url()).pathname.replace(/\/secret$/, "");
  assert.equal(await status(key, "llama-3-8b"), 200);
  assert.equal(await status(key, "other"), 403);

  // The key's page shows the limits, and how much of them is used.
  await ada.open(path);
  const card = ada.page.getByRole("region", { name: "Limits" });
  const words = await card.innerText();
  for (const text of [/100 requests a minute, at most 20 at once; 19 left now|; 20 left now/, /1 of 1,000 this month, until 1 \w+/, /0 of 5 requests at the same time now/, /by the plan free/, /127\.0\.0\.0\/8, ::1/, /gpt, llama-3\*/]) {
    assert.match(words, text);
  }
  await ada.says("Only for model gpt or llama-3*");
  for (const meter of await card.locator("svg.meter").all()) {
    const { width, height } = await meter.boundingBox();
    assert.ok(width > 100 && height > 3, `a meter of ${width} × ${height}`);
  }
  await picture("key");

  // The link leads to the fields, which another tab changes in between.
  await tabTo(ada, "Change its limits");
  await enter(ada);
  await fields(ada, { plan: "free", rate: "100/m burst 20", quota: "1000/month", concurrent: "5", addresses: "127.0.0.0/8\n::1", "resource-model": "gpt\nllama-3*" });
  const tab = new Person(base, ada.context, await ada.context.newPage(), ada.script);
  await tab.page.emulateMedia({ reducedMotion: "reduce" });
  await tab.open(`${path}/change?limits=open`);
  await type(tab, "quota", "");
  await type(tab, "resource-model", "other");
  await tabTo(tab, "Review");
  await enter(tab);
  await tabTo(tab, "Save the changes");
  await enter(tab);
  await tab.says("The changes are in effect.");
  assert.equal(await status(key, "other"), 200);
  await ada.page.bringToFront();
  await type(ada, "rate", "1/h burst 7");
  await tabTo(ada, "Review");
  await enter(ada);
  await tabTo(ada, "Save the changes");
  ada.expect("status of 409");
  await enter(ada);
  await ada.says("It was changed since you opened this form");
  const row = (field) => ada.page.getByRole("row").filter({ hasText: field }).innerText();
  assert.match(await row("Rate"), /1 request an? hour, at most 7 at once[\s\S]*100 requests a minute/);
  assert.match(await row("Quota"), /1,000 a month[\s\S]*none/);
  assert.match(await row("Only for model"), /gpt, llama-3\*[\s\S]*other/);
  await picture("conflict");
  await tabTo(ada, "Save mine over it");
  await enter(ada);
  await ada.says("1 request an hour, at most 7 at once");
  assert.equal(await status(key, "other"), 403);
  assert.deepEqual(tab.complaints, []);
  await ada.leave();
}

/** enterSummary unfolds what has the focus. */
async function enterSummary(ada) {
  await ada.page.keyboard.press("Enter");
  await ada.page.getByLabel("Rate", { exact: true }).waitFor();
}

const tasks = {
  limits: () => limits({ width: 1280 }),
  "limits-plain": () => limits({ width: 1280, script: false }),
  "limits-plain-phone": () => limits({ width: 320, height: 640, script: false, dark: true }),
};

await launch(chromium);
try {
  await tasks[process.argv[2]]();
} finally {
  await close();
}
