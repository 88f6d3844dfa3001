// What a user with the operator's role does. It is run with the name of a task;
// the rest is in the environment.

import assert from "node:assert/strict";
import { Person, close, launch } from "./person.mjs";

const { BASE: base, OPERATOR_EMAIL: email, PASSWORD: password, OTHER_EMAIL: otherEmail, OTHER_ID: other, PICTURES: pictures, CHROMIUM: chromium } = process.env;

/** fetchAs gets a file with the cookies of a person. */
const fetchAs = async (person, path) =>
  fetch(base + path, { headers: { Cookie: (await person.context.cookies()).map((c) => `${c.name}=${c.value}`).join("; ") } });

/** operator finds a user, suspends them, and revokes a key of theirs. */
async function operator(options) {
  const bob = await Person.come(base, options);
  await bob.signIn(otherEmail, password);
  assert.equal(await bob.page.getByRole("link", { name: "Operator" }).count(), 0);
  assert.equal((await bob.page.goto(`${base}/portal/operator`)).status(), 404);
  bob.expect("404");
  await bob.open("/portal/apps");
  await bob.fill("Name", "Shop");
  await bob.fill("ID (optional)", "shop");
  await bob.press("Create application");
  const secret = await bob.page.locator("#secret").inputValue();
  const answer = async () => (await fetch(`${base}/v2/myscopes`, { headers: { Authorization: `Key ${secret}` } })).status;
  assert.equal(await answer(), 200);

  const olga = await Person.come(base, options);
  await olga.signIn(email, password);
  await olga.open("/portal/operator/keys");
  await olga.heading("All keys of all users");
  assert.ok(await olga.page.getByRole("row", { name: /Shop|cak_/ }).first().isVisible());
  await olga.page.locator("summary", { has: olga.page.locator("svg") }).first().click();
  await olga.look();
  await olga.picture(pictures, `operator-keys-${options.width}`);
  assert.match(await (await fetchAs(olga, await olga.page.getByRole("link", { name: "Download as CSV" }).getAttribute("href"))).text(), new RegExp(`^active,cak_\\w{12},app_specific_key,${other},`, "m"));
  await olga.follow("Open or suspend the user");
  await olga.heading(other);
  await olga.open("/portal/operator");
  await olga.heading("Users");
  await olga.picture(pictures, `operator-users-${options.width}`);
  await olga.fill("User ID or key ID", "nobody");
  olga.expect("404");
  await olga.press("Open");
  await olga.says("There is no user and no key with this ID.");
  await olga.fill("User ID or key ID", other);
  await olga.press("Open");
  await olga.heading(other);
  await olga.picture(pictures, `operator-user-${options.width}`);

  // The plan of a user, with another change in between, and the plan of an application.
  const another = await Person.come(base, options);
  await another.signIn(email, password);
  await another.open(`/portal/operator/users/${other}`);
  await olga.page.getByRole("combobox", { name: "Plan" }).selectOption("pro");
  await olga.press("Save the plan");
  await olga.says("The plan is changed. It applies from now on.");
  assert.equal(await olga.page.getByRole("combobox", { name: "Plan" }).inputValue(), "pro");
  another.expect("409");
  await another.press("Save the plan");
  await another.says("It was changed since you opened this form");
  await another.picture(pictures, `operator-plan-conflict-${options.width}`);
  await another.follow("Take theirs");
  assert.equal(await another.page.getByRole("combobox", { name: "Plan" }).inputValue(), "pro");
  await another.leave();
  await olga.follow("Change the plan of shop");
  await olga.heading("Plan of Shop");
  await olga.page.getByRole("combobox", { name: "Plan" }).selectOption("default");
  await olga.picture(pictures, `operator-app-plan-${options.width}`);
  await olga.press("Save the plan");
  await olga.heading(other);
  assert.equal(await answer(), 200);
  await olga.follow("Created with the app");
  await olga.says("Plan of the application\ndefault");
  await olga.picture(pictures, `operator-key-${options.width}`);
  await olga.follow("All plans");
  await olga.heading("Plans");
  await olga.says("100 requests a second, at most 200 at once");
  await olga.picture(pictures, `operator-plans-${options.width}`);
  await olga.open(`/portal/operator/users/${other}`);

  await olga.press("Suspend");
  await olga.says("The user is suspended.");
  assert.equal(await answer(), 401);
  await olga.press("End the suspension");
  assert.equal(await answer(), 200);
  await olga.page.locator(".menu summary").first().click();
  await olga.look();
  await olga.picture(pictures, `operator-menu-${options.width}`);
  await olga.press("Revoke …");
  await olga.heading("Revoke this key?");
  await olga.follow("Keep it");
  await olga.page.locator("input[name=key]").first().check();
  await olga.press("Revoke the selected …");
  await olga.press("Revoke");
  await olga.says("Revoked. Requests are refused from now on.");
  assert.equal(await answer(), 401);
  await olga.follow("Audit of this user");
  await olga.says("key revoked");
  await olga.picture(pictures, `operator-audit-${options.width}`);

  await bob.open("/portal/audit");
  await bob.says("olga");
  await bob.leave();
  await olga.leave();
}

/** noPlans reads how to add plans. */
async function noPlans(options) {
  const olga = await Person.come(base, options);
  await olga.signIn(email, password);
  await olga.open(`/portal/operator/users/${other}`);
  await olga.follow("How to add plans");
  await olga.heading("Plans");
  await olga.says("There are no plans");
  await olga.picture(pictures, `operator-no-plans-${options.width}`);
  await olga.leave();
}

const tasks = {
  operator: () => operator({ width: 1440 }),
  "operator-dark": () => operator({ width: 768, dark: true }),
  "operator-phone": () => operator({ width: 320, height: 640 }),
  "operator-plain-phone": () => operator({ width: 320, height: 640, script: false }),
  "no-plans": () => noPlans({ width: 320, height: 640 }),
};

await launch(chromium);
try {
  await tasks[process.argv[2]]();
} finally {
  await close();
}
