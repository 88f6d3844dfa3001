// What a person sees of the requests that a key has made. The test has made them:
// KEY is a key that was used on several days, UNUSED one that never was.

import assert from "node:assert/strict";
import { Person, close, launch } from "./person.mjs";

const { BASE: base, EMAIL: email, PASSWORD: password, KEY: key, UNUSED: unused, PICTURES: pictures, CHROMIUM: chromium } = process.env;

/** bars wants those of a day to be seen, as high as the others say. */
async function bars(ada) {
  const drawing = await ada.page.locator("svg.bars").boundingBox();
  assert.ok(drawing.width > 200 && drawing.height > 100, JSON.stringify(drawing));
  const heights = {};
  for (const bar of await ada.page.locator("svg.bars g:has(.allowed, .refused)").all()) {
    const day = await bar.getAttribute("data-day");
    heights[day] = 0;
    for (const part of await bar.locator(".allowed, .refused").all()) {
      const box = await part.boundingBox();
      assert.ok(box.width > 2 && box.height > 1, `${day}: ${JSON.stringify(box)}`);
      assert.ok(box.y >= drawing.y - 1 && box.y + box.height <= drawing.y + drawing.height + 1, `${day} is out of the drawing`);
      const fill = await part.evaluate((e) => [getComputedStyle(e).fill, getComputedStyle(e).stroke, getComputedStyle(e.closest(".card")).backgroundColor]);
      assert.ok(fill[0] !== fill[2] || fill[1] !== fill[2], `${day} can't be told from the page: ${fill}`);
      heights[day] += box.height;
    }
  }
  const tall = Object.entries(heights).sort().map(([, height]) => height);
  assert.equal(tall.length, 3, JSON.stringify(heights));
  assert.ok(tall[0] > tall[1] && tall[1] > tall[2], JSON.stringify(heights));
  return drawing;
}

/** activity looks at the drawing and at the table, and grants what was missing. */
async function activity() {
  const ada = await Person.come(base, { width: 1280 });
  await ada.signIn(email, password);
  await ada.open(`/portal/keys/${unused}`);
  await ada.says("This key has not been used yet.");
  assert.equal(await ada.page.locator("svg.bars").count(), 0);
  await ada.open(`/portal/keys/${key}`);
  await bars(ada);
  await ada.says(/104\s*allowed/);
  await ada.says(/32\s*refused/);

  // Fewer days have their own drawing.
  await ada.follow("7 days");
  await ada.says(/24\s*allowed/);
  assert.equal(await ada.page.locator("svg.bars g").count(), 7);
  assert.equal(await ada.page.locator("svg.bars g:has(.allowed, .refused)").count(), 2);
  await ada.picture(pictures, "activity-7");
  await ada.follow("30 days");
  await bars(ada);

  // The table has the same numbers, for everyone who wants it.
  const table = ada.page.locator("#days table");
  assert.equal(await table.isVisible(), false);
  await ada.page.getByText("Show the days as a table").click();
  assert.ok(await table.isVisible());
  assert.equal(await table.locator("tbody tr").count(), 30);
  assert.match(await table.locator("tbody tr").first().innerText(), /^\d+ \w+ \d{4}\s+4\s+2\s+It lacked scopes or endpoints \(2\)$/);
  await ada.look();

  const dark = { colorScheme: "dark" };
  const forced = { colorScheme: "light", forcedColors: "active" };
  const usual = { colorScheme: "light", forcedColors: "none" };
  await ada.page.emulateMedia(forced); // which axe doesn't know
  await bars(ada);
  await ada.page.emulateMedia({ ...usual, ...dark });
  await bars(ada);
  await ada.look();
  await ada.page.emulateMedia(usual);
  await ada.page.setViewportSize({ width: 320, height: 640 });
  await bars(ada);
  await ada.look();

  // Pictures come last: they leave attributes in the page.
  await ada.picture(pictures, "activity-phone");
  await ada.page.setViewportSize({ width: 1280, height: 900 });
  for (const [name, media] of Object.entries({ dark: { ...usual, ...dark }, forced, light: usual })) {
    await ada.page.emulateMedia(media);
    await ada.picture(pictures, `activity-${name}`);
  }

  await ada.press("Grant Inputs:Add");
  await ada.says("The changes are in effect.");
  await ada.says("it has them now");
  await ada.says("key changed");
  await ada.follow("All changes of this key");
  await ada.says("key created");
  await ada.leave();
}

await launch(chromium);
try {
  await { activity }[process.argv[2]]();
} finally {
  await close();
}
