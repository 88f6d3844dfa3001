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
if (result) result.focus();

// Remove secrets when the user leaves the page, because going back to it must not
// show them again.
addEventListener("pagehide", () => {
  for (const secret of document.querySelectorAll("[data-secret]")) {
    if (secret.value) secret.value = "";
    else secret.remove();
  }
});

// Ignore a second click: the browser would drop the answer to the first, which may
// be a key that is shown only once.
const sent = new WeakSet();
addEventListener("submit", (event) => {
  if (sent.has(event.target)) event.preventDefault();
  else if (event.target.method === "post") sent.add(event.target);
});
addEventListener("pageshow", (event) => {
  if (event.persisted) for (const form of document.forms) sent.delete(form);
});

// Selecting a scope selects the scopes that it needs, and clearing a scope clears
// the scopes that need it. A note tells which.
const form = document.getElementById("key-form");
if (form) {
  const boxes = new Map([...form.querySelectorAll('[name="scope"]')].map((box) => [box.value, box]));
  const needs = (box) => box.dataset.needs.split(" ").filter((name) => boxes.has(name));
  const note = document.getElementById("scopes-note");

  const tick = (box, said) => {
    for (const name of needs(box)) {
      const other = boxes.get(name);
      if (other.checked) continue;
      other.checked = true;
      said.push(`${name} (needed by ${box.value})`);
      tick(other, said);
    }
  };
  const untick = (box, said) => {
    for (const [name, other] of boxes) {
      if (!other.checked || !needs(other).includes(box.value)) continue;
      other.checked = false;
      said.push(`${name} (needs ${box.value})`);
      untick(other, said);
    }
  };
  form.addEventListener("change", ({ target }) => {
    if (target.name !== "scope") return;
    const said = [];
    (target.checked ? tick : untick)(target, said);
    note.textContent = said.length === 0 ? "" : `${target.checked ? "Also selected" : "Also cleared"}: ${said.join(", ")}.`;
  });

  for (const preset of form.querySelectorAll("[data-scopes]")) {
    preset.addEventListener("click", (event) => {
      event.preventDefault();
      const chosen = preset.dataset.scopes.split(" ");
      for (const [name, box] of boxes) box.checked = chosen.includes(name);
      note.textContent = `Selected: ${preset.textContent.toLowerCase()}.`;
    });
  }

  // Choosing a day is choosing to expire on it.
  document.getElementById("date")?.addEventListener("input", () => {
    form.querySelector('[name="expires"][value="date"]').checked = true;
  });

  for (const part of form.querySelectorAll("[data-only-script]")) part.hidden = false;
  const search = document.getElementById("endpoint-search");
  if (search) {
    const rows = [...document.querySelectorAll("#endpoints .check")];
    search.addEventListener("input", () => {
      const words = search.value.toLowerCase().split(/\s+/);
      let found = 0;
      for (const row of rows) {
        row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
        if (!row.hidden) found++;
      }
      document.getElementById("endpoints-found").textContent = `${found} of ${rows.length} endpoints`;
    });
  }
}

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
