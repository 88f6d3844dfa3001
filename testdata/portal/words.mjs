// What people do to find out, and to choose, what a key can call, on Clarifai's
// API. It is run with the name of a task; the rest is in the environment.

import assert from "node:assert/strict";
import { Person, close, launch } from "./person.mjs";

const { BASE: base, EMAIL: email, PASSWORD: password, PICTURES: pictures, CHROMIUM: chromium } = process.env;

/** status is what the site answers to a key. */
async function status(key, method, path) {
  const answer = await fetch(base + path, { method, headers: { Authorization: `Key ${key}` } });
  await answer.text();
  return answer.status;
}

/** start signs in, makes an application, and opens the form for a key. */
async function start(options, app) {
  const ada = await Person.come(base, options);
  await ada.signIn(email, password);
  await ada.fill("Name", "Words");
  await ada.fill("ID (optional)", app);
  await ada.press("Create application");
  await ada.follow("I have copied it");
  await ada.follow("Create an API key");
  return ada;
}

const listed = (ada) => ada.page.locator("[data-callable] [data-operation]").evaluateAll((list) => list.map((e) => e.dataset.operation));
const checked = (ada, name) => ada.page.locator(`[name="${name}"]:checked`).evaluateAll((list) => list.map((e) => e.value));

/** tabs counts the presses of the tabulator from the top of the page to a button. */
async function tabs(ada, name) {
  await ada.page.evaluate(() => {
    scrollTo(0, 0);
    document.activeElement.blur();
  });
  for (let n = 1; n <= 100; n++) {
    await ada.page.keyboard.press("Tab");
    if (await ada.page.evaluate(() => document.activeElement.innerText) === name) return n;
  }
  return assert.fail(`the tabulator doesn't come to ${name}`);
}

/** visible are the rows of the selection that a person sees. */
const visible = (ada, field) => ada.page.locator(`[name="${field}"]`).evaluateAll((list) => list.filter((e) => e.checkVisibility()).map((e) => e.value));

/** choosing is by task, by resource, by operation, and with a search. */
async function choosing() {
  const ada = await start({ width: 1280 }, "choosing");
  let presses = await tabs(ada, "Review");

  // The summary stands beside the list, and stays there.
  const summary = ada.page.locator(".summary");
  await ada.page.evaluate(() => scrollTo({ top: 1500, behavior: "instant" }));
  const box = await summary.boundingBox();
  assert.ok(box.y >= 0 && box.y + box.height <= 900, `the summary is at ${JSON.stringify(box)}`);
  assert.ok((await ada.page.locator(".groups").first().boundingBox()).x + 200 < box.x);

  // A search hides the rows that don't match, and the resources without one.
  await ada.fill("Search scopes and operations", "label order");
  assert.deepEqual(await visible(ada, "scope"), ["LabelOrders:Add", "LabelOrders:Delete", "LabelOrders:Get"]);
  assert.equal(await ada.page.getByRole("group", { name: /^Inputs/ }).count(), 0);
  await ada.fill("Search scopes and operations", "patchmodellanguages");
  assert.deepEqual(await visible(ada, "operation"), ["/clarifai.api.V2/PatchModelLanguages"]);
  assert.match(await ada.page.locator("#scopes-found").innerText(), /^0 scopes and 1 operation$/);
  await ada.picture(pictures, "words-search");
  await ada.fill("Search scopes and operations", "");
  assert.ok((await visible(ada, "scope")).length < 20); // folded up, with a level each
  assert.ok((await ada.page.getByRole("radiogroup").count()) > 20);

  // Levels and single scopes keep each other up to date.
  const level = (resource, name) => ada.page.getByRole("radiogroup", { name: resource, exact: true }).getByLabel(name, { exact: true });
  await level("Inputs", "Read").check();
  assert.deepEqual(await checked(ada, "scope"), ["Inputs:Get"]);
  await level("Inputs", "Write").check();
  assert.deepEqual(await checked(ada, "scope"), ["Inputs:Add", "Inputs:Delete", "Inputs:Get", "Inputs:Patch"]);
  await ada.page.getByRole("group", { name: /^Inputs/ }).locator("summary").click();
  await ada.page.locator('[value="Inputs:Delete"]').uncheck();
  assert.ok(await level("Inputs", "Custom").isChecked());
  await level("Inputs", "None").check();
  assert.deepEqual(await checked(ada, "scope"), []);

  // An operation selects what it needs.
  await ada.page.locator('[value="/clarifai.api.V2/ListInputs"][name="operation"]').check();
  const needs = await checked(ada, "scope");
  assert.ok(needs.includes("Annotations:Get") && needs.includes("Inputs:Get"), needs.join());
  assert.match(await ada.page.locator("[data-reach]").innerText(), /^[1-9]\d* of \d+ operations/);

  // Read only is what changes nothing, by scopes and endpoints.
  await ada.page.getByRole("button", { name: "Read only" }).click();
  assert.ok((await checked(ada, "endpoint")).length > 50);
  const shown = Number((await ada.page.locator("[data-reach]").innerText()).split(" ")[0]);
  await ada.press("Review");
  presses += await tabs(ada, "Create the key");
  assert.ok(presses <= 40, `${presses} presses of the tabulator from the top to Create`);
  const operations = await listed(ada);
  assert.ok(operations.length > shown, `${operations.length} routes of ${shown} operations`);
  assert.deepEqual(operations.filter((o) => !/^GET |^grpc \S+\/(Get|List|MyScopes|Stream(Inputs|LogEntries)$)/.test(o) && o !== "POST /v2/login"), []);
  assert.equal(await ada.page.locator("[data-operation]").first().isVisible(), false);
  await ada.page.getByRole("main").locator("[data-callable] summary", { hasText: /^Inputs / }).click();
  await ada.page.locator('[data-operation="GET /v2/inputs"]').waitFor({ state: "visible" });
  await ada.look();
  await ada.picture(pictures, "words-review");
  await ada.press("Create the key");
  const key = await ada.page.getByLabel("Your key").inputValue();
  const models = "/v2/users/me/apps/choosing/models";
  assert.equal(await status(key, "GET", models), 200);
  assert.equal(await status(key, "PATCH", `${models}/m1/languages`), 403);
  await ada.leave();
}

/** plain is choosing without JavaScript, on a small phone. */
async function plain() {
  const ada = await start({ width: 320, script: false }, "plain");
  assert.equal(await ada.page.getByLabel("Search scopes and operations").isVisible(), false);
  await ada.press("Predict");
  assert.ok((await checked(ada, "scope")).includes("Predict"));
  await ada.press("Review");
  const operations = await listed(ada);
  const predict = "POST /v2/users/{user_id}/apps/{app_id}/models/{model_id}/outputs";
  assert.ok(operations.includes(predict));
  assert.ok(!operations.some((o) => o.startsWith("PATCH")));
  await ada.picture(pictures, "words-plain-review");
  await ada.press("Create the key");
  const key = await ada.page.getByLabel("Your key").inputValue();
  const models = "/v2/users/me/apps/plain/models/m1";
  assert.equal(await status(key, "POST", `${models}/outputs`), 200);
  assert.equal(await status(key, "PATCH", "/v2/users/me/apps/plain/models/m1/languages"), 403);
  await ada.follow("I have copied it");

  // By operation, limited to it.
  await ada.follow("Create an API key");
  await ada.page.locator("summary", { hasText: "Choose by operation" }).click();
  await ada.page.locator('[value="/clarifai.api.V2/ListInputs"][name="operation"]').check();
  await ada.page.getByLabel("Limit it to the endpoints of these operations").check();
  await ada.press("Select only what these operations need");
  assert.ok((await checked(ada, "scope")).includes("Annotations:Get"));
  assert.deepEqual(await checked(ada, "endpoint"), ["/clarifai.api.V2/ListInputs"]);
  await ada.press("Review");
  assert.deepEqual([...new Set((await listed(ada)).filter((o) => o.includes("nputs")).map((o) => o.split(" ")[0]))].sort(), ["GET", "grpc"]);

  // By resource.
  await ada.press("Back to the form");
  await ada.press("Custom");
  await ada.page.getByRole("radiogroup", { name: "Inputs", exact: true }).getByLabel("Read", { exact: true }).check();
  await ada.press("Review");
  await ada.says("more would need little");
  await ada.page.locator(".near summary").click();
  await ada.says(/ListInputs also needs Annotations:Get/);
  await ada.leave();
}

/** asking is whether a key can make a request, and granting what it lacks. */
async function asking(options, app) {
  const ada = await start(options, app);
  await ada.fill("Description", "asked");
  await ada.page.getByRole("group", { name: /^Inputs/ }).locator("summary").click();
  await ada.page.locator('[value="Inputs:Get"][name="scope"]').check();
  await ada.press("Review");
  await ada.press("Create the key");
  const key = await ada.page.getByLabel("Your key").inputValue();
  await ada.follow("I have copied it");
  await ada.follow("asked");
  const inputs = `/v2/users/me/apps/${app}/inputs`;
  const ask = async (method, path) => {
    await ada.page.locator("#ask-method").selectOption(method);
    await ada.page.locator("#ask-path").fill(path);
    await ada.press("Ask");
  };
  await ask("GET", inputs);
  await ada.says("No. It lacks Annotations:Get, Apps:Get, Concepts:Get.");
  assert.ok(await ada.page.locator('[data-answer="scopes"]').isVisible());
  assert.equal(await status(key, "GET", inputs), 403);
  await ada.picture(pictures, `words-${app}`);
  await Promise.all([ada.page.waitForNavigation(), ada.page.getByRole("button", { name: /^Grant / }).click()]);
  await ada.look();
  await ada.says("The changes are in effect.");
  assert.equal(await status(key, "GET", inputs), 200);
  await ask("GET", inputs);
  await ada.says("Yes.");
  assert.equal(await ada.page.getByRole("button", { name: /^Grant / }).count(), 0);
  await ask("GET", "/v2/users/somebody/apps/theirs/inputs");
  assert.equal(await ada.page.locator('[data-answer="owner"]').count(), 1);
  ada.expect("status of 400");
  await ask("GET", `/v2/inputs?key=${key}`);
  assert.ok(!(await ada.page.content()).includes(key));
  await ada.leave();
}

const tasks = {
  asking: () => asking({ width: 1280, dark: true }, "asking"),
  "asking-plain": () => asking({ width: 320, script: false }, "asking-plain"),
  choosing, "choosing-plain": plain,
};

await launch(chromium);
try {
  await tasks[process.argv[2]]();
} finally {
  await close();
}
