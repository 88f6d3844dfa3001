// The main pages with the system's own colors, and zoomed: nothing has to be
// scrolled sideways, and nothing is cut off. It is run with the name of a task; the
// rest is in the environment.

import assert from "node:assert/strict";
import { Person, close, launch } from "./person.mjs";

const { BASE: base, EMAIL: email, PASSWORD: password, OTHER_ID: otherID, PICTURES: pictures, CHROMIUM: chromium } = process.env;

/** pages makes an application, a key and a collaborator, and returns the main pages. */
async function pages(ada) {
  await ada.fill("Name", "Shop");
  await ada.fill("ID (optional)", "shop");
  await ada.press("Create application");
  const key = new URL(ada.page.url()).pathname.split("/").at(-2);
  await ada.open("/portal/apps/shop/collaborators/new");
  await ada.fill("User ID", otherID);
  await ada.page.locator('[value="Inputs:Get"]').check();
  await ada.press("Add");
  return [
    "/signin", "/reset", "/apps", "/apps/shop", "/apps/shop/new", "/apps/shop/collaborators", "/apps/shop/settings", "/tokens", "/keys", "/leaked",
    `/keys/${key}`, `/keys/${key}/secret`, `/keys/${key}/change`, `/keys/${key}/rotate`, `/keys/${key}/revoke`, "/shared", "/audit", "/account",
  ];
}

/** whole wants every button, link, field and heading to be within the window. */
async function whole(ada) {
  const cut = await ada.page.locator("main, header").locator("a, button, input, select, summary, h1, h2, dd, label").evaluateAll((list) => list.filter((e) => {
    if (!e.checkVisibility({ visibilityProperty: true }) || e.closest(".unseen, .skip, .scrolled, [type=hidden]")) return false;
    const box = e.getBoundingClientRect();
    return box.left < -1 || box.right > innerWidth + 1 || box.width === 0 || e.matches("a, button, h1, summary") && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== "visible";
  }).map((e) => e.outerHTML.slice(0, 120)));
  assert.deepEqual(cut, [], `cut off at ${ada.page.url()}`);
}

/** look opens all pages in a kind of window. */
async function look(name, options, change = async () => {}) {
  const ada = await Person.come(base, options);
  await ada.signIn(email, password);
  const list = look.pages ??= await pages(ada);
  await change(ada);
  for (const path of list) {
    await ada.open(`/portal${path}`);
    await whole(ada);
    await ada.picture(pictures, `${name}${path.replaceAll("/", "-").replace(/cak_\w+/, "key")}`);
  }
  await ada.leave();
}

/** text makes the text alone larger, as a setting of the browser. */
const text = (size) => async (ada) => {
  const session = await ada.context.newCDPSession(ada.page);
  await session.send("Page.enable");
  await session.send("Page.setFontSizes", { fontSizes: { standard: size, fixed: size } });
};

const tasks = {
  zoom: async () => {
    await look("zoom200", { width: 640, height: 400, scale: 2, axe: false });
    await look("zoom400", { width: 320, height: 256, scale: 4 });
    await look("text200", { width: 1280, axe: false }, text(32));
  },
  "forced-colors": async () => {
    await look("forced", { width: 1280, forced: true });
    await look("forced-phone", { width: 320, height: 640, forced: true, dark: true, axe: false });
  },
};

await launch(chromium);
try {
  await tasks[process.argv[2]]();
} finally {
  await close();
}
