// The portal works without this script. The script makes copying a key one click,
// and moves the focus to the result of an action.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    const said = button.closest(".secret, .field").querySelector("[data-copied]");
    try {
      await navigator.clipboard.writeText(field.value);
      said.textContent = "Copied.";
    } catch {
      field.select();
      said.textContent = "The browser doesn’t let this page copy. It is selected: copy it with your keyboard.";
    }
  });
}

const result = document.getElementById("problem") || document.getElementById("notice") || document.querySelector('[role="alertdialog"], #secret');
if (result && !document.querySelector("[autofocus]")) result.focus();

// The code of a one-time link is in the fragment, which isn't sent. It moves to the
// form, and out of the address.
const reset = document.querySelector("[data-reset]");
const takeCode = () => {
  if (location.hash.length < 2) return;
  reset.code.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  reset.password.focus();
};
if (reset) {
  takeCode();
  addEventListener("hashchange", takeCode);
}

// Remove secrets when the user leaves the page, because going back to it must not
// show them again.
addEventListener("pagehide", () => {
  for (const secret of document.querySelectorAll("[data-secret]")) {
    if (secret.value) secret.value = "";
    else secret.remove();
  }
});

// If the browser kept a page whose secrets were removed, the server explains it.
addEventListener("pageshow", ({ persisted }) => {
  if (persisted && document.querySelector("[data-once]")) location.reload();
});

// Menus close by Escape, by a click elsewhere, and when the focus leaves them.
const menus = document.querySelectorAll("details.menu");
for (const menu of menus) {
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  menu.addEventListener("focusout", ({ relatedTarget }) => {
    if (relatedTarget && !menu.contains(relatedTarget)) menu.open = false;
  });
}
if (menus.length > 0) {
  addEventListener("click", ({ target }) => {
    for (const menu of menus) if (!menu.contains(target)) menu.open = false;
  });
}

// Ignore a second click: the browser would drop the answer to the first, which may
// be a key that is shown only once.
const sent = new WeakSet();
addEventListener("submit", (event) => {
  if (sent.has(event.target)) return event.preventDefault();
  if (event.target.method !== "post") return;
  sent.add(event.target);
  event.submitter?.setAttribute("aria-busy", "true");
});
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.forms) sent.delete(form);
  for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
});

// One box selects all keys of the page, and a note counts the selected ones.
for (const all of document.querySelectorAll("[data-all]")) {
  const boxes = [...all.form.querySelectorAll(`[name="${all.dataset.all}"]`)];
  const note = all.form.querySelector("[data-selected]");
  const count = () => {
    const selected = boxes.filter((box) => box.checked).length;
    all.checked = selected === boxes.length;
    all.indeterminate = selected > 0 && !all.checked;
    note.textContent = selected === 0 ? "" : `${selected} selected`;
  };
  all.closest("[data-only-script]").hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    count();
  });
  all.form.addEventListener("change", count);
  addEventListener("pageshow", count);
}

// Recovery codes are copied, or downloaded as a file that is made here.
for (const box of document.querySelectorAll("[data-codes]")) {
  const codes = [...box.querySelectorAll("li")].map((code) => code.textContent).join("\n");
  const copy = box.querySelector("[data-copy-codes]");
  const download = box.querySelector("[data-download-codes]");
  const said = box.querySelector("[data-copied]");
  copy.hidden = !navigator.clipboard;
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(codes);
      said.textContent = "Copied.";
    } catch {
      said.textContent = "The browser doesn’t let this page copy. Select the codes and copy them with your keyboard.";
    }
  });
  download.hidden = false;
  download.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`Recovery codes for ${location.host}\n\n${codes}\n`], { type: "text/plain" }));
    link.download = `recovery-codes-${location.hostname}.txt`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    said.textContent = "Downloaded.";
  });
}
