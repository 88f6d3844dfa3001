// How people sign in, and look after their account. It is run with the name of a
// task; the rest is in the environment.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { Person, close, launch, oneTimePassword } from "./person.mjs";

const { BASE: base, EMAIL: email, PASSWORD: password, RESET_CODE: resetCode, CHROMIUM: chromium } = process.env;

/** factor sets up a second factor, and signs in with it. */
async function factor(options) {
  const ada = await Person.come(base, options);
  ada.expect("status of 401");
  ada.expect("status of 400");
  await ada.signIn(email, password);
  await ada.follow("Account");
  await ada.says(/Chrome on Linux/);
  const section = ada.page.getByRole("region", { name: "Second factor" });
  await section.getByLabel("Your password").fill(password);
  await ada.press("Set it up");
  const codes = await ada.page.locator(".codes li").allInnerTexts();
  const secret = await ada.page.getByLabel("Or type the secret into it").inputValue();
  const [copy, download] = ["Copy", "Download"].map((name) => ada.page.locator("[data-codes]").getByRole("button", { name, exact: true }));
  for (const button of [copy, download]) assert.equal(await button.isVisible(), ada.script);
  if (ada.script) {
    await copy.click();
    await ada.page.getByText("Copied.", { exact: true }).waitFor();
    assert.equal(await ada.page.evaluate(() => navigator.clipboard.readText()), codes.join("\n"));
    const [file] = await Promise.all([ada.page.waitForEvent("download"), download.click()]);
    assert.equal(file.suggestedFilename(), "recovery-codes-localhost.txt");
    const text = await readFile(await file.path(), "utf8");
    for (const code of codes) assert.ok(text.includes(`\n${code}\n`), text);
  }

  // The browser wants the box ticked, and a mistyped code keeps the set-up.
  await ada.fill("The code that your app shows now", "000000");
  await ada.page.getByRole("button", { name: "Turn it on" }).click();
  assert.equal(await ada.page.locator("#saved:invalid").count(), 1);
  await ada.tick("I saved the recovery codes");
  await ada.press("Turn it on");
  assert.ok(await ada.page.locator("#code-wrong").isVisible());
  assert.ok(await ada.page.getByRole("img", { name: "QR code with the secret" }).isVisible());
  assert.equal(await ada.page.getByLabel("Or type the secret into it").inputValue(), secret);
  await ada.fill("The code that your app shows now", oneTimePassword(secret));
  await ada.press("Turn it on");
  await ada.says("The second factor is on");

  // Signing in: the code is a step of its own, with the focus on it.
  await ada.press("Sign out", ada.page.getByRole("banner"));
  await ada.fill("E-mail", email);
  await ada.fill("Password", password);
  await ada.press("Sign in");
  await ada.heading("Enter your code");
  assert.equal(await ada.page.getByRole("alert").count(), 0);
  assert.equal(await ada.page.getByLabel("Password", { exact: true }).count(), 0);
  await ada.page.waitForFunction(() => document.activeElement.id === "code");
  await ada.page.keyboard.type("000000");
  await ada.press("Sign in");
  assert.ok(await ada.page.locator("#code-wrong").isVisible());
  await ada.page.waitForFunction(() => document.activeElement.id === "code");
  assert.ok(!(await ada.page.getByLabel("Recovery code").isVisible()));
  await ada.page.getByText("use a recovery code").click();
  await ada.fill("Recovery code", "wrong");
  await ada.press("Sign in with it");
  assert.ok(await ada.page.locator("#recovery-wrong").isVisible());
  await ada.page.waitForFunction(() => document.activeElement.id === "recovery");
  await ada.page.keyboard.type(codes[0].replaceAll("-", ""));
  await ada.press("Sign in with it");
  await ada.heading("Applications");
  await ada.leave();
}

/** reset sets another password by a link, whose code is in no request's address. */
async function reset(options) {
  const ada = await Person.come(base, options);
  const elsewhere = await Person.come(base, options);
  await elsewhere.signIn(email, password);
  ada.page.on("request", (request) => assert.ok(!request.url().includes(resetCode)));
  ada.expect("status of 400");
  ada.expect("status of 401");
  await ada.open("/portal/signin");
  await ada.follow("Forgot your password?");
  await ada.heading("Reset your password");
  await ada.says("The operator of this service makes you a one-time link");
  const set = async (next) => {
    await ada.fill("New password", next);
    await ada.fill("New password, again", next);
    await ada.press("Set the password");
  };
  await ada.fill("Code of the link", "alice.WRONG");
  await set("an entirely different sentence");
  assert.ok(await ada.page.locator("#code-wrong").isVisible());

  if (ada.script) {
    await ada.page.goto("about:blank");
    await ada.page.goto(`${base}/portal/reset#${resetCode}`);
    assert.equal(ada.page.url(), `${base}/portal/reset`);
    assert.equal(await ada.page.getByLabel("Code of the link").inputValue(), resetCode);
    await ada.page.waitForFunction(() => document.activeElement.id === "password");
  } else {
    await ada.fill("Code of the link", resetCode);
  }
  await set("Summer2024!");
  assert.ok(await ada.page.locator("#password-wrong").isVisible());
  await set("an entirely different sentence");
  await ada.says("Your password is changed");
  await ada.signIn(email, "an entirely different sentence");
  await elsewhere.page.goto(`${base}/portal/apps`);
  await elsewhere.heading("Sign in");
  await ada.leave();
  await elsewhere.leave();
}

const tasks = {
  reset: () => reset({ width: 1440 }),
  "reset-plain": () => reset({ width: 320, height: 640, script: false }),
  factor: () => factor({ width: 1440 }),
  "factor-plain-phone": () => factor({ width: 360, script: false }),
};

await launch(chromium);
try {
  await tasks[process.argv[2]]();
} finally {
  await close();
}
