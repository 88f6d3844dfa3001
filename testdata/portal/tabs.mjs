// Two tabs change the same key. It is run with the name of a task; the rest is in
// the environment.

import assert from "node:assert/strict";
import { Person, close, launch } from "./person.mjs";

const { BASE: base, EMAIL: email, PASSWORD: password, PICTURES: pictures, CHROMIUM: chromium } = process.env;

/** change changes the description and a scope of the key in the form. */
async function change(ada, description, scope) {
  await ada.fill("Description", description);
  await ada.page.locator(`[name="scope"][value="${scope}"]`).check();
}

/** anotherTab saves over what another tab has saved, or takes it. */
async function anotherTab(ends, options) {
  const ada = await Person.come(base, options);
  ada.expect("status of 409");
  await ada.signIn(email, password);
  await ada.open("/portal/tokens/new");
  await change(ada, "nightly", "Inputs:Get");
  await ada.press("Review");
  await ada.press("Create the token");
  const key = new URL(ada.page.url()).pathname.split("/").at(-2);
  const tab = new Person(base, ada.context, await ada.context.newPage(), ada.script);
  await ada.open(`/portal/keys/${key}/change`);
  await tab.open(`/portal/keys/${key}/change`);
  await change(tab, "theirs", "Predict");
  await tab.press("Review");
  await tab.press("Save the changes");
  await change(ada, "mine", "Inputs:Add");
  await ada.press("Review");
  await ada.press("Save the changes");
  await ada.says("It was changed since you opened this form");
  assert.equal(await ada.page.getByLabel("Description", { exact: true }).inputValue(), "mine");
  const row = ada.page.getByRole("row").filter({ hasText: "Description" });
  assert.ok(await row.isVisible());
  assert.match(await row.innerText(), /mine[\s\S]*theirs/);
  await ada.picture(pictures, `conflict-${options.width}`);
  if (ends === "mine") await ada.press("Save mine over it");
  else await ada.follow("Take theirs", ada.page.getByRole("main"));
  await ada.heading(ends);
  assert.deepEqual(tab.complaints, []);
  await ada.leave();
}

const tasks = {
  "another-tab": () => anotherTab("mine", { width: 1280 }),
  "another-tab-plain-phone": () => anotherTab("theirs", { width: 320, height: 640, script: false }),
};

await launch(chromium);
try {
  await tasks[process.argv[2]]();
} finally {
  await close();
}
