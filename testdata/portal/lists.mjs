// What people do with lists of keys, and with a key that has leaked. It is run
// with the name of a task; the rest is in the environment.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { Person, close, launch } from "./person.mjs";

const { BASE: base, EMAIL: email, PASSWORD: password, OTHER_EMAIL: otherEmail, OTHER_ID: otherID, PICTURES: pictures, CHROMIUM: chromium } = process.env;

/** api calls the management API with the session of a person. */
async function api(person, method, path, body) {
  const cookie = (await person.context.cookies()).find((c) => c.name.includes("session"));
  const answer = await fetch(`${base}${path}`, {
    method, headers: { Authorization: `Bearer ${cookie.value}` }, body: body && JSON.stringify(body),
  });
  const { status, ...result } = await answer.json();
  assert.equal(status.code, 10000, JSON.stringify(status));
  return result;
}

/** works reports whether the gate accepts a credential. */
async function works(credential) {
  const answer = await fetch(`${base}/v2/myscopes`, { headers: { Authorization: `Key ${credential}` } });
  await answer.text();
  return answer.status === 200;
}

const pat = (description, more = {}) => ({ type: "personal_access_token", description, scopes: ["All"], ...more });
const inDays = (n) => new Date(Date.now() + n * 86400000).toISOString();

/** rows are the names in the list that the page shows. */
const rows = async (person) => (await person.page.locator("tbody th a:visible").allInnerTexts()).sort().join(" ");

/** allKeys finds keys among many, downloads them, and revokes several. */
async function allKeys(options) {
  const ada = await Person.come(base, options);
  await ada.signIn(email, password);
  await ada.open("/portal/keys");
  await ada.says("You have no keys yet");
  await api(ada, "POST", "/v2/users/me/apps", { apps: [{ id: "shop" }] });
  const { keys } = await api(ada, "POST", "/v2/users/me/keys", { keys: [
    pat("soon", { expires_at: inDays(3) }), pat("narrow", { scopes: ["Predict", "Models:Get"], expires_at: inDays(30) }), pat("off"), pat("=1+1", { expires_at: inDays(30) }),
    { description: "gone", scopes: ["Predict", "Models:Get"], apps: [{ id: "shop" }] },
  ] });
  const [soon, narrow, off, , gone] = keys;
  await api(ada, "PATCH", "/v2/users/me/keys", { keys: [{ id: off.key_id, disabled: true }] });
  await api(ada, "DELETE", "/v2/users/me/keys", { ids: [gone.key_id] });

  await ada.open("/portal");
  await ada.follow("All keys");
  await ada.heading("All keys");
  await ada.picture(pictures, `all-keys-${options.width}`);
  const filter = (name) => ada.page.getByRole("navigation", { name: "Filters" }).getByRole("link", { name });
  const show = async (name) => {
    await Promise.all([ada.page.waitForNavigation(), filter(name).click()]);
    await ada.look();
    assert.equal(await filter(name).getAttribute("aria-current"), "true");
  };
  for (const [name, want] of [
    ["Expiring in 7 days", "soon"], ["Disabled", "off"], ["Unused for 90 days", ""], ["Expired", ""], ["Revoked", "gone"],
    [/^Full access/, /=1\+1 .* off soon/], [/^Never expires/, / off$|^off /], [/^Active/, /narrow soon/],
  ]) {
    await show(name);
    if (want instanceof RegExp) assert.match(await rows(ada), want);
    else assert.equal(await rows(ada), want);
  }
  await show("Revoked");
  assert.equal(await ada.page.getByRole("checkbox").count(), 0);
  await ada.picture(pictures, `revoked-${options.width}`);

  // The download has what the list shows, and no secret.
  await show(/^All/);
  const [download] = await Promise.all([ada.page.waitForEvent("download"), ada.page.getByRole("link", { name: "Download as CSV" }).click()]);
  assert.equal(download.suggestedFilename(), "keys.csv");
  const text = await readFile(await download.path(), "utf8");
  assert.match(text, /,'=1\+1,/);
  for (const key of keys) assert.ok(!text.includes(key.id));
  assert.equal(text.trim().split("\n").length, 6); // a heading, four tokens, and the key of the application

  // Searching, and revoking everything that is found.
  await ada.fill("Search", "soon");
  await ada.press("Show");
  assert.equal(await rows(ada), "soon");
  await ada.fill("Search", "");
  await ada.press("Show");
  const all = ada.page.getByLabel("Select all on this page");
  if (ada.script) {
    await all.check();
    assert.equal(await ada.page.locator('[name="key"]:checked').count(), 5);
    await ada.says("5 selected");
    await ada.page.getByLabel("Select narrow").uncheck();
    await ada.says("4 selected");
    assert.ok(!(await all.isChecked()));
  } else {
    assert.ok(!(await all.isVisible()));
    for (const box of await ada.page.locator('[name="key"]').all()) await box.check();
    await ada.page.getByLabel("Select narrow").uncheck();
  }
  await ada.press("Revoke the selected …");
  await ada.heading("Revoke 4 keys?");
  for (const name of ["soon", "off", "=1+1", "in shop"]) await ada.says(name);
  assert.ok(!(await ada.page.getByRole("main").innerText()).includes("narrow"));
  await ada.picture(pictures, `revoke-several-${options.width}`);
  await ada.follow("Keep them");
  assert.ok(await works(soon.id));
  for (const name of ["Select soon", "Select off"]) await ada.page.getByLabel(name).check();
  await ada.press("Revoke the selected …");
  await ada.press("Revoke");
  await ada.says("Revoked.");
  assert.ok(!(await works(soon.id)));
  assert.ok(await works(narrow.id));
  await show("Revoked");
  assert.equal(await rows(ada), "gone off soon");
  await ada.leave();

  // Another user sees none of it.
  const bob = await Person.come(base, options);
  await bob.signIn(otherEmail, password);
  await bob.open("/portal/keys?show=revoked");
  await bob.says("No key was revoked");
  await bob.leave();
}

/** leaked looks a pasted token up, and revokes it with what it has made. */
async function leaked(options) {
  const ada = await Person.come(base, options);
  await ada.signIn(email, password);
  const { keys: [token, kept] } = await api(ada, "POST", "/v2/users/me/keys", { keys: [pat("laptop"), pat("kept")] });
  const made = await fetch(`${base}/v2/users/me/keys`, {
    method: "POST", headers: { Authorization: `Key ${token.id}` }, body: JSON.stringify({ keys: [pat("made by a thief")] }),
  }).then((answer) => answer.json());
  await ada.follow("All keys");
  await ada.follow("A key has leaked");
  await ada.heading("A key has leaked");
  await ada.picture(pictures, `leaked-${options.width}`);
  await ada.fill("The key, or several", `export TOKEN=${token.id}\nnothing of ours`);
  await ada.press("Look it up");
  await ada.heading("What has leaked");
  for (const text of ["laptop", "Yours: a personal access token", "from 127.0.0.1", "made by a thief", "Line 2 isn't a key of yours"]) await ada.says(text);
  assert.ok(!(await ada.page.content()).includes(token.id));
  await ada.picture(pictures, `leaked-found-${options.width}`);
  assert.ok(await works(token.id));

  // Going back doesn't show it.
  await ada.page.goBack();
  assert.equal(await ada.page.getByLabel("The key, or several").inputValue(), "");
  await ada.fill("The key, or several", token.id);
  await ada.press("Look it up");
  await ada.press("Revoke it, and what was made with it");
  await ada.heading("What was revoked");
  for (const text of ["Revoked.", "laptop", "made by a thief"]) await ada.says(text);
  await ada.picture(pictures, `leaked-done-${options.width}`);
  for (const credential of [token.id, made.keys[0].id]) assert.ok(!(await works(credential)));
  assert.ok(await works(kept.id));
  await ada.page.reload();
  await ada.says("made by a thief");
  await ada.follow("What was changed with it");
  await ada.says("key created");
  await ada.leave();
}

/** rotation replaces a token, and finds the way from each to the other. */
async function rotation(options) {
  const ada = await Person.come(base, options);
  await ada.signIn(email, password);
  const { keys: [token] } = await api(ada, "POST", "/v2/users/me/keys", { keys: [pat("nightly", { expires_at: inDays(60) })] });
  await ada.open(`/portal/keys/${token.key_id}`);
  await ada.follow("Rotate");
  assert.ok(await ada.page.getByLabel("In 24 hours").isChecked());
  assert.ok(await ada.page.getByLabel("When the old one would").isChecked());
  const shown = await ada.page.locator("label", { hasText: "In 24 hours" }).locator("time").innerText();
  assert.match(shown, /^\d+ \w+ \d{4}, \d\d:\d\d UTC$/);
  await ada.picture(pictures, `rotate-${options.width}`);
  await ada.tick("In 90 days");
  await ada.press("Rotate");
  await ada.says(`works until ${shown}`);
  const next = await ada.page.getByLabel("Your token").inputValue();
  assert.ok(await works(token.id));
  assert.ok(await works(next));
  await ada.open(`/portal/keys/${token.key_id}`);
  await ada.says(/Replaced by/);
  await ada.says(shown); // when it expires
  await ada.follow(next.slice(0, 16));
  await ada.says(/Replaces/);
  await ada.picture(pictures, `rotated-${options.width}`);
  await ada.follow(token.key_id);
  await ada.heading("nightly");
  await ada.leave();
}

/** leave is a collaborator who leaves, and everyone who is one. */
async function leave(options) {
  const ada = await Person.come(base, options);
  const bob = await Person.come(base, options);
  await ada.signIn(email, password);
  await bob.signIn(otherEmail, password);
  await api(ada, "POST", "/v2/users/me/apps", { apps: [{ id: "shared" }] });
  await api(ada, "POST", "/v2/users/me/apps/shared/collaborators", { collaborators: [{ user_id: otherID, scopes: ["Inputs:Get"] }] });
  const { user: owner } = await api(ada, "GET", "/v2/users/me");
  const { keys: [token] } = await api(bob, "POST", "/v2/users/me/keys", { keys: [pat("bob's")] });
  const use = async () => {
    const answer = await fetch(`${base}/v2/users/${owner.id}/apps/shared/inputs`, { headers: { Authorization: `Key ${token.id}` } });
    await answer.text();
    return answer.status;
  };
  await bob.open("/portal/shared");
  await bob.follow(`Leave shared of ${owner.id}`);
  await bob.heading("Leave shared?");
  await bob.picture(pictures, `leave-${options.width}`);
  assert.equal(await use(), 200);
  await bob.press("Leave");
  await bob.says("You have left the application.");
  await bob.says("Nothing is shared with you");
  assert.equal(await use(), 403);
  await bob.leave();

  // Everyone needs no ID.
  await ada.open("/portal/apps/shared/collaborators");
  await ada.says("No collaborators");
  await ada.follow("Add a collaborator");
  await ada.tick("Everyone who has an account");
  await ada.page.locator('[name="scope"][value="Inputs:Get"]').check();
  await ada.press("Add");
  await ada.says("Everyone who has an account");
  assert.equal(await use(), 200);
  await ada.menu("everyone");
  await ada.follow("Remove everyone");
  await ada.heading("Remove everyone?");
  await ada.press("Remove");
  assert.equal(await use(), 403);
  await ada.leave();
}

const tasks = {
  leave: () => leave({ width: 360 }),
  rotation: () => rotation({ width: 320 }),
  leaked: () => leaked({ width: 1280 }),
  "leaked-plain": () => leaked({ width: 320, script: false }),
  "all-keys": () => allKeys({ width: 1280 }),
  "all-keys-plain": () => allKeys({ width: 768, script: false }),
  "all-keys-phone": () => allKeys({ width: 320, dark: true }),
};

await launch(chromium);
try {
  await tasks[process.argv[2]]();
} finally {
  await close();
}
