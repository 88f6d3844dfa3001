// What people do on the portal, one task after the other. It is run with the
// name of a task; the rest is in the environment.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { Person, close, launch, oneTimePassword } from "./person.mjs";

const { BASE: base, EMAIL: email, PASSWORD: password, OTHER_EMAIL: otherEmail, OTHER_ID: otherID, PICTURES: pictures, CHROMIUM: chromium } = process.env;
const inputs = (app) => `${base}/v2/users/me/apps/${app}/inputs`;

/** status is what the gate answers to a key. */
async function status(key, app, method = "GET") {
  const answer = await fetch(inputs(app), { method, headers: { Authorization: `Key ${key}` } });
  await answer.text();
  return answer.status;
}

/** theWholeWay is from the first sign-in to a revoked key being refused. */
async function theWholeWay(options, app) {
  const ada = await Person.come(base, options);
  const name = `${options.width}${options.script === false ? "-plain" : ""}`;
  await ada.page.goto(`${base}/portal`);
  await ada.heading("Sign in");
  await ada.look();
  await ada.picture(pictures, `${name}-signin`);

  await ada.fill("E-mail", email);
  await ada.fill("Password", "not the password");
  ada.expect("status of 401");
  await ada.press("Sign in");
  await ada.says(/wrong/);
  await ada.signIn(email, password);
  await ada.look();

  await ada.fill("Name", `Photos ${name}`);
  await ada.fill("ID (optional)", app);
  await ada.press("Create application");
  await ada.heading("Application created");
  const first = await ada.page.getByLabel("Your key").inputValue();
  assert.equal(await status(first, app), 200);
  await ada.follow("I have copied it");
  await ada.heading("Keys");
  await ada.picture(pictures, `${name}-app`);

  // A key by ticking boxes. What needs another takes it along.
  await ada.follow("Create an API key");
  await ada.fill("Description", "nightly import");
  await ada.tick("In 30 days");
  await ada.page.locator('[value="Inputs:Add"]').check();
  if (ada.script) {
    assert.ok(await ada.page.locator('[value="Inputs:Get"]').isChecked());
    assert.match(await ada.page.locator("#scopes-note").innerText(), /Inputs:Get \(needed by Inputs:Add\)/);
    await ada.page.locator('[value="Inputs:Get"]').uncheck();
    assert.ok(!(await ada.page.locator('[value="Inputs:Add"]').isChecked()));
    assert.match(await ada.page.locator("#scopes-note").innerText(), /Inputs:Add \(needs Inputs:Get\)/);
    await ada.page.locator('[value="Inputs:Add"]').check();
    await ada.page.locator("summary", { hasText: "Advanced" }).click();
    await ada.fill("Search endpoints", "listinputs");
    assert.match(await ada.page.locator("#endpoints-found").innerText(), /^1 of /);
    await ada.fill("Search endpoints", "");
  } else {
    await ada.page.locator('[value="Models:Get"]').check();
    await ada.press("Custom"); // and what was typed stays
    assert.equal(await ada.page.getByLabel("Description", { exact: true }).inputValue(), "nightly import");
    assert.ok(await ada.page.getByLabel("In 30 days").isChecked());
    assert.equal(await ada.page.locator('[name="scope"]:checked').count(), 0);
    await ada.page.locator('[value="Inputs:Add"]').check();
  }
  await ada.picture(pictures, `${name}-create`);
  await ada.press("Review");
  await ada.says(/It can call \d+ of \d+ operations in the application/);
  for (const operation of ["GET", "POST"]) {
    assert.equal(await ada.page.locator(`[data-callable] [data-operation="${operation} /v2/users/{user_id}/apps/{app_id}/inputs"]`).count(), 1);
  }
  assert.equal(await ada.page.locator('[data-operation="DELETE /v2/users/{user_id}/apps/{app_id}/inputs"]').count(), 0);
  if (!ada.script) await ada.says("needed by Inputs:Add");
  await ada.picture(pictures, `${name}-review`);
  await ada.press("Back to the form");
  assert.equal(await ada.page.getByLabel("Description", { exact: true }).inputValue(), "nightly import");
  await ada.press("Review");
  if (ada.script) {
    // A double click: the answer to the first is what comes.
    await Promise.all([ada.page.waitForNavigation(), ada.page.getByRole("button", { name: "Create the key" }).evaluate((button) => {
      button.click();
      setTimeout(() => button.click(), 1);
    })]);
    await ada.look();
    assert.equal(await ada.page.evaluate(() => document.activeElement.id), "secret");
  } else {
    await ada.pressTwice("Create the key", "Your key");
  }
  await ada.heading("Your new key");
  const key = await ada.page.getByLabel("Your key").inputValue();
  assert.match(key, /^cak_\w{12}_\w{38}$/);
  assert.match(await ada.page.getByLabel("Try it").inputValue(), new RegExp(`^curl .*${key}`));
  if (ada.script) {
    for (const [i, field] of ["curl", "secret"].entries()) {
      await ada.page.locator(`[data-copy="${field}"]`).click();
      await ada.page.waitForFunction((n) => document.querySelectorAll("[data-copied]:not(:empty)").length === n, i + 1);
      assert.equal(await ada.page.evaluate(() => navigator.clipboard.readText()), await ada.page.locator(`#${field}`).inputValue());
    }
    assert.deepEqual(await ada.page.locator("[data-copied]").allInnerTexts(), ["Copied.", "Copied."]);
  }
  await ada.picture(pictures, `${name}-secret`);
  assert.equal(await status(key, app), 200);
  assert.equal(await status(key, app, "POST"), 200);

  // Nobody sees it again: neither by going back, nor by reloading.
  await ada.follow("I have copied it");
  assert.ok(!(await ada.page.content()).includes(key));
  await ada.page.goBack();
  for (const again of [() => ada.page.reload(), () => ada.page.goForward()]) {
    await ada.page.getByText("This key was shown once").waitFor();
    assert.ok(await ada.page.getByRole("button", { name: "Rotate it" }).isVisible());
    assert.ok(!(await ada.page.content()).includes(key));
    await ada.look();
    await again();
  }
  await ada.picture(pictures, `${name}-keys`);

  // Looking for it.
  await ada.fill("Search", "nightly");
  await ada.page.getByLabel("Order").selectOption("name");
  await ada.press("Show");
  await ada.says("1 of 2");
  await ada.follow("nightly import");
  await ada.heading("nightly import");
  await ada.picture(pictures, `${name}-key`);

  // Narrower: it may not write any more, at once.
  await ada.follow("Change");
  await ada.page.locator('[value="Inputs:Add"]').uncheck();
  await ada.press("Review");
  await ada.press("Save the changes");
  await ada.says("The changes are in effect.");
  if (ada.script) assert.equal(await ada.page.evaluate(() => document.activeElement.id), "notice");
  assert.equal(await status(key, app, "POST"), 403);

  await ada.press("Disable");
  await ada.says("Disabled");
  assert.equal(await status(key, app), 401);
  await ada.press("Enable");
  assert.equal(await status(key, app), 200);

  await ada.follow("Rotate");
  await ada.picture(pictures, `${name}-rotate`);
  await ada.tick("In an hour");
  await ada.press("Rotate");
  const next = await ada.page.getByLabel("Your key").inputValue();
  assert.equal(await status(key, app), 200);
  assert.equal(await status(next, app), 200);
  await ada.follow("I have copied it");

  // Revoked, and refused by the gate.
  await ada.fill("Search", next.slice(0, 16));
  await ada.press("Show");
  await ada.follow("nightly import");
  await ada.follow("Revoke");
  await ada.says(next.slice(0, 16));
  await ada.says(/last used|never used/);
  await ada.picture(pictures, `${name}-revoke`);
  await ada.press("Revoke");
  await ada.says("Revoked.");
  assert.equal(await status(next, app), 401);
  assert.equal(await status(key, app), 200);

  // Several at once. The list is looked through afterwards as it was before.
  await ada.page.getByLabel("State").selectOption("active");
  await ada.press("Show");
  for (const box of await ada.page.getByRole("main").getByRole("checkbox").all()) await box.check();
  await ada.press("Revoke the selected …");
  await ada.heading("Revoke 2 keys?");
  await ada.press("Revoke");
  assert.equal(await status(key, app), 401);
  assert.equal(await status(first, app), 401);
  assert.equal(await ada.page.getByLabel("State").inputValue(), "active");
  await ada.says("Nothing found");
  await ada.follow("Keys");
  await ada.says("This application has no keys");

  await ada.follow("Settings");
  await ada.fill("Name", `Pictures ${name}`);
  await ada.press("Save");
  await ada.says(`Pictures ${name}`);
  await ada.picture(pictures, `${name}-settings`);
  ada.expect("status of 400");
  await ada.fill(`To be sure, type its ID: ${app}`, "something else");
  await ada.press("Delete the application and revoke its keys");
  await ada.says("It is not the ID of this application");
  await ada.fill(`To be sure, type its ID: ${app}`, app);
  await ada.press("Delete the application and revoke its keys");
  await ada.says("The application is deleted");

  await ada.follow("Audit");
  await ada.says("application deleted");
  await ada.picture(pictures, `${name}-audit`);
  await ada.press("Sign out", ada.page.getByRole("banner"));
  await ada.says("You are signed out.");
  await ada.page.goto(`${base}/portal/apps`);
  await ada.heading("Sign in");
  await ada.leave();
}

/** tokens: one is made, makes a key itself, and both are revoked together. */
async function tokens() {
  const ada = await Person.come(base);
  await ada.signIn(email, password);
  await ada.follow("Tokens");
  await ada.says("You have no tokens");
  await ada.follow("Create a token");
  await ada.fill("Description", "laptop");
  await ada.tick("Never"); // so that what it makes may live as long as it likes
  await ada.page.getByRole("button", { name: "Full access" }).click();
  await ada.press("Review");
  await ada.says(/It can call all \d+ operations/);
  await ada.press("Create the token");
  const token = await ada.page.getByLabel("Your token").inputValue();
  assert.match(token, /^cap_/);
  const made = await fetch(`${base}/v2/users/me/keys`, {
    method: "POST",
    headers: { Authorization: `Key ${token}` },
    body: JSON.stringify({ keys: [{ type: "personal_access_token", description: "made with it", scopes: ["All"] }] }),
  }).then((answer) => answer.json());
  await ada.follow("I have copied it");
  await ada.says("made with it");
  await ada.picture(pictures, "tokens");
  await ada.follow("laptop");
  await ada.follow("Revoke");
  await ada.says("Also revoke the keys that were made with it");
  await ada.press("Revoke");
  await ada.says("You have no tokens");
  for (const key of [token, made.keys[0].id]) {
    assert.equal((await fetch(`${base}/v2/myscopes`, { headers: { Authorization: `Key ${key}` } })).status, 401);
  }
  await ada.leave();
}

/** collaborators: one is added, sees it, uses it, and is removed. */
async function collaborators() {
  const ada = await Person.come(base);
  const bob = await Person.come(base, { width: 360, dark: true });
  await ada.signIn(email, password);
  await bob.signIn(otherEmail, password);
  await bob.follow("Shared with me");
  await bob.says("Nothing is shared with you");
  await ada.fill("Name", "Shared");
  await ada.fill("ID (optional)", "shared");
  await ada.press("Create application");
  await ada.follow("I have copied it");
  await ada.follow("Collaborators");
  await ada.says("No collaborators");
  await ada.follow("Add a collaborator");
  ada.expect("status of 400");
  await ada.fill("User ID", "nobody there");
  await ada.press("Add");
  await ada.says("Nothing was done.");
  await ada.fill("User ID", otherID);
  await ada.page.locator('[value="Inputs:Get"]').check();
  await ada.press("Add");
  await ada.says(otherID);
  await ada.picture(pictures, "collaborators");

  await bob.open("/portal/shared");
  await bob.says("Inputs:Get");
  await bob.picture(pictures, "shared-360");
  await bob.follow("Tokens");
  await bob.follow("Create a token");
  await bob.page.getByRole("button", { name: "Full access" }).click();
  await bob.press("Review");
  await bob.press("Create the token");
  const token = await bob.page.getByLabel("Your token").inputValue();
  const owner = (await (await fetch(`${base}/v2/users/me`, { headers: { Authorization: `Key ${await someToken(ada)}` } })).json()).user.id;
  const shared = `${base}/v2/users/${owner}/apps/shared/inputs`;
  const use = async (method) => (await fetch(shared, { method, headers: { Authorization: `Key ${token}` } })).status;
  assert.equal(await use("GET"), 200);
  assert.equal(await use("POST"), 403);

  await ada.open("/portal/apps/shared/collaborators");
  await ada.menu(otherID);
  await ada.follow(`Change what ${otherID} may do`);
  await ada.page.locator('[value="Inputs:Add"]').check();
  await ada.press("Save the changes");
  assert.equal(await use("POST"), 200);
  await ada.menu(otherID);
  await ada.follow(`Remove ${otherID}`);
  await ada.heading(`Remove ${otherID}?`);
  assert.equal(await use("POST"), 200);
  await ada.press("Remove");
  await ada.says("The collaborator is removed");
  assert.equal(await use("GET"), 403);
  await bob.open("/portal/shared");
  await bob.says("Nothing is shared with you");
  await ada.leave();
  await bob.leave();
}

/** someToken makes a token for asking the API. */
async function someToken(person) {
  await person.open("/portal/tokens/new?preset=all");
  await person.press("Review");
  await person.press("Create the token");
  return person.page.getByLabel("Your token").inputValue();
}

/** account: the password, the second factor, and the sessions. */
async function account() {
  const ada = await Person.come(base);
  const elsewhere = await Person.come(base);
  await ada.signIn(email, password);
  await elsewhere.signIn(email, password);
  await ada.follow("Account");
  await ada.picture(pictures, "account");
  ada.expect("status of 401");
  ada.expect("status of 400");

  // Sessions.
  await ada.press("End all others");
  await ada.says("Those sessions have ended.");
  await elsewhere.page.goto(`${base}/portal/apps`);
  await elsewhere.heading("Sign in");
  await elsewhere.signIn(email, password);

  // The password.
  const section = (title) => ada.page.getByRole("region", { name: title });
  const change = async (now, next, again) => {
    await section("Password").getByLabel("Your current password").fill(now);
    await section("Password").getByLabel("New password", { exact: true }).fill(next);
    await section("Password").getByLabel("New password, again").fill(again);
    await ada.press("Change password");
  };
  await change("wrong", "another password", "another password");
  await ada.says("It is not the user's password");
  await change(password, "another password", "yet another");
  await ada.says("It differs from the new password");
  await change(password, "another password", "another password");
  await ada.says("Your password is changed");
  await elsewhere.page.goto(`${base}/portal/apps`);
  await elsewhere.heading("Sign in");

  // The second factor.
  await section("Second factor").getByLabel("Your password").fill("another password");
  await ada.press("Set it up");
  await ada.heading("Set up your second factor");
  assert.equal(await ada.page.getByRole("img", { name: "QR code with the secret" }).count(), 1);
  await ada.picture(pictures, "factor");
  const secret = await ada.page.getByLabel("Or type the secret into it").inputValue();
  const codes = await ada.page.locator(".codes li").allInnerTexts();
  assert.equal(codes.length, 10);
  await ada.tick("I saved the recovery codes");
  await ada.fill("The code that your app shows now", "000000");
  await ada.press("Turn it on");
  await ada.says("The code is wrong");
  assert.equal(await ada.page.getByLabel("Or type the secret into it").inputValue(), secret);
  assert.deepEqual(await ada.page.locator(".codes li").allInnerTexts(), codes);
  await ada.fill("The code that your app shows now", oneTimePassword(secret));
  await ada.press("Turn it on");
  await ada.says("The second factor is on");

  // Signing in asks for it; a recovery code does once.
  elsewhere.expect("status of 401");
  await elsewhere.signIn(email, "another password", codes[0]);
  await elsewhere.press("Sign out", elsewhere.page.getByRole("banner"));
  await elsewhere.fill("E-mail", email);
  await elsewhere.fill("Password", "another password");
  await elsewhere.press("Sign in");
  await elsewhere.fill("Code of your second factor", codes[0]);
  await elsewhere.press("Sign in");
  await elsewhere.says("The code is wrong, or was used already");
  await elsewhere.fill("Code of your second factor", codes[1]);
  await elsewhere.press("Sign in");
  await elsewhere.heading("Applications");

  // New codes, and off again.
  await ada.page.getByText("Make new recovery codes").click();
  const open = ada.page.locator("details[open]");
  await open.getByLabel("Your password").fill("another password");
  await open.getByLabel("Code of your second factor").fill(codes[2]);
  await ada.press("Make new codes");
  const fresh = await ada.page.locator(".codes li").allInnerTexts();
  assert.equal(fresh.length, 10);
  assert.ok(!fresh.includes(codes[3]));
  await ada.tick("I saved the recovery codes");
  await ada.press("Back to your account");
  await ada.page.getByText("Turn it off").first().click();
  await open.getByLabel("Your password").fill("another password");
  await open.getByLabel("Code of your second factor").fill(fresh[0]);
  await ada.press("Turn it off", open);
  await ada.says("The second factor is off");
  await change("another password", password, password);
  await ada.says("Your password is changed");
  await ada.leave();
  await elsewhere.leave();
}

/** byKeyboard makes a key without a mouse. */
async function byKeyboard() {
  const ada = await Person.come(base);
  const { keyboard } = ada.page;
  const focused = () => ada.page.evaluate(() => {
    const e = document.activeElement;
    if (e === document.body || e.tagName === "MAIN") return e.tagName;
    return `${e.tagName} ${e.name || e.value || ""} ${e.innerText || e.getAttribute("aria-label") || ""}`.trim();
  });
  // tabTo goes on with the tabulator until it has come to what is wanted.
  const tabTo = async (wanted) => {
    for (let i = 0; i < 400; i++) {
      if (wanted.test(await focused())) {
        const seen = await ada.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle !== "none" || document.activeElement.type === "checkbox");
        assert.ok(seen, `the focus isn't seen at ${await focused()}`);
        return;
      }
      await keyboard.press("Tab");
    }
    assert.fail(`the tabulator doesn't come to ${wanted}`);
  };
  const enter = async () => {
    await Promise.all([ada.page.waitForNavigation(), keyboard.press("Enter")]);
    await ada.look();
  };
  await ada.page.goto(`${base}/portal`);
  await keyboard.type(email); // the first field has the focus
  await tabTo(/^INPUT password/);
  await keyboard.type(password);
  await enter();
  await keyboard.press("Tab");
  assert.match(await focused(), /Skip to the content/);
  await keyboard.press("Enter");
  await tabTo(/^INPUT name/);
  await keyboard.type("By keyboard");
  await tabTo(/^INPUT id/);
  await keyboard.type("keyboard");
  await tabTo(/Create application/);
  await enter();
  await tabTo(/I have copied it/);
  await enter();
  await tabTo(/Create an API key/);
  await enter();
  await tabTo(/^INPUT description/);
  await keyboard.type("typed");
  while (!(await ada.page.evaluate(() => document.activeElement.value === "Inputs:Get"))) await keyboard.press("Tab");
  await keyboard.press("Space");
  await tabTo(/Review/);
  await enter();
  await tabTo(/Create the key/);
  await enter();
  const key = await ada.page.getByLabel("Your key").inputValue();
  assert.equal(await status(key, "keyboard"), 200);
  await tabTo(/I have copied it/);
  await enter();
  await tabTo(/^A\s+typed/);
  await enter();
  await tabTo(/^A\s+Revoke/);
  await enter();
  await tabTo(/^BUTTON step Revoke/);
  await enter();
  assert.equal(await ada.page.evaluate(() => document.activeElement.id), "notice");
  assert.equal(await status(key, "keyboard"), 401);
  await ada.leave();
}

/** attempts are what somebody would try, each of which is refused. */
async function attempts() {
  const ada = await Person.come(base);
  await ada.signIn(email, password);
  const evil = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}';

  // Script in every field for text.
  await ada.fill("Name", evil);
  await ada.fill("ID (optional)", "attempts");
  await ada.press("Create application");
  await ada.follow("I have copied it");
  await ada.follow("Create an API key");
  await ada.fill("Description", evil);
  await ada.press("Review");
  await ada.says(evil);
  await ada.press("Create the key");
  await ada.follow("I have copied it");
  await ada.says(evil);

  // Words without an end break nothing.
  await ada.follow("Create an API key");
  await ada.fill("Description", "W".repeat(1000));
  await ada.press("Review");
  await ada.press("Create the key");
  await ada.follow("I have copied it");
  for (const width of [360, 768, 960]) {
    await ada.page.setViewportSize({ width, height: 900 });
    await ada.look();
  }
  await ada.follow(`${"W".repeat(99)}…`);
  await ada.page.setViewportSize({ width: 360, height: 900 });
  await ada.follow("Revoke");
  await ada.follow("Keep it");
  await ada.page.setViewportSize({ width: 1440, height: 900 });
  await ada.open("/portal/apps/attempts");
  for (const query of ["?q=", "?sort=", "?state=", "?page=", "?done="]) await ada.open(`/portal/apps/attempts${query}${encodeURIComponent(evil)}`);
  ada.expect("status of 400");
  await ada.open(`/portal/audit?app=${encodeURIComponent(evil)}&key=${encodeURIComponent(evil)}`);
  await ada.open("/portal/apps/attempts/settings");
  await ada.fill("Name", `${evil}${evil}`);
  await ada.press("Save");
  await ada.follow("Collaborators");
  await ada.follow("Add a collaborator");
  await ada.page.getByLabel("User ID").evaluate((field) => field.removeAttribute("maxlength"));
  ada.expect("status of 404");
  await ada.fill("User ID", evil);
  await ada.press("Add");
  await ada.says("Nothing was done.");

  // A form that is sent again does nothing.
  await ada.open("/portal/apps");
  const form = await ada.page.locator('main form input[name="form"]').first().inputValue();
  const cookieLine = (await ada.context.cookies()).map((c) => `${c.name}=${c.value}`).join("; ");
  const send = async (fields) => {
    const answer = await fetch(`${base}/portal/apps`, {
      method: "POST", body: new URLSearchParams(fields), headers: { Cookie: cookieLine }, redirect: "manual",
    });
    await answer.text();
    return answer.status;
  };
  assert.equal(await send({ form, name: "once", id: "once" }), 303);
  assert.equal(await send({ form, name: "once", id: "once" }), 303);
  assert.equal(await send({ form, name: "twice", id: "twice" }), 409);
  assert.equal(await send({ name: "none", id: "none" }), 409);
  assert.equal(await send({ form, name: "steps", id: "steps", step: "review" }), 409);
  await ada.open("/portal/apps");
  for (const id of ["twice", "none", "steps"]) assert.equal(await ada.page.getByText(id, { exact: true }).count(), 0);
  assert.equal(await ada.page.getByRole("link", { name: "once", exact: true }).count(), 1);

  // What is another's is refused, and looks like what isn't there.
  ada.expect("status of 403");
  const bob = await Person.come(base);
  await bob.signIn(otherEmail, password);
  bob.expect("status of 404");
  const pages = [];
  for (const id of ["attempts", "not-there"]) {
    const response = await bob.open(`/portal/apps/${id}`);
    pages.push(`${response.status()} ${(await bob.page.getByRole("main").innerText()).replaceAll(id, "")}`);
  }
  assert.equal(pages[0], pages[1]);
  assert.match(pages[0], /^404 /);
  const keys = [];
  await ada.open("/portal/apps/attempts");
  const theirs = (await ada.page.locator("tbody a").first().getAttribute("href")).split("/").pop();
  for (const id of [theirs, "cak_000000000000"]) {
    for (const page of ["", "/change", "/rotate", "/revoke"]) {
      const response = await bob.open(`/portal/keys/${id}${page}`);
      keys.push(`${page} ${response.status()} ${(await bob.page.getByRole("main").innerText()).replaceAll(id, "")}`);
    }
  }
  assert.deepEqual(keys.slice(0, 4), keys.slice(4));
  await bob.leave();

  // Another site: its forms do nothing, its frames stay empty, its scripts read nothing.
  const site = createServer((request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(`<!doctype html><title>evil</title><form method="post" action="${base}/portal/apps"><input name="name" value="x"><input name="id" value="crossed"><input name="form" value="${form}"><button>Win</button></form><iframe src="${base}/portal/apps"></iframe>`);
  });
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  ada.expect("another host is asked");
  ada.expect("frame-ancestors");
  ada.expect("ERR_BLOCKED_BY_RESPONSE");
  ada.expect("has style or script");
  ada.expect("Framing");
  ada.expect("favicon");
  ada.expect("chrome-error://");
  await ada.page.goto(`http://127.0.0.1:${site.address().port}/`);
  const frame = ada.page.frames().find((f) => f !== ada.page.mainFrame());
  assert.ok(!(await frame.content()).includes("Applications"));
  const [answer] = await Promise.all([ada.page.waitForResponse(`${base}/portal/apps`), ada.page.getByRole("button", { name: "Win" }).click()]);
  assert.equal(answer.status(), 403);
  site.close();
  await ada.page.goto(`${base}/portal/apps`);
  assert.equal(await ada.page.getByText("crossed", { exact: true }).count(), 0);

  // The cookie is for this host alone, and for no script.
  const cookies = (await ada.context.cookies()).filter((c) => c.name.includes("session"));
  assert.equal(cookies.length, 1);
  const [cookie] = cookies;
  assert.deepEqual([cookie.name.slice(0, 7), cookie.secure, cookie.httpOnly, cookie.sameSite, cookie.path], ["__Host-", true, true, "Strict", "/"]);
  await ada.leave();
}

const tasks = {
  wide: () => theWholeWay({ width: 1440 }, "wide"),
  phone: () => theWholeWay({ width: 360, dark: true }, "phone"),
  plain: () => theWholeWay({ width: 1440, script: false }, "plain"),
  "plain-phone": () => theWholeWay({ width: 360, script: false }, "plain-phone"),
  tokens, collaborators, account, keyboard: byKeyboard, attempts,
};

await launch(chromium);
try {
  await tasks[process.argv[2]]();
} finally {
  await close();
}
