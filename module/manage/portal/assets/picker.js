// The form that selects what a key can call works without this script. The script
// keeps scopes, levels and counts in step while one selects, and searches.
const form = document.getElementById("key-form");
const boxes = new Map([...form.querySelectorAll('[name="scope"]')].map((box) => [box.value, box]));
const endpoints = [...form.querySelectorAll('[name="endpoint"]')];
const operations = [...form.querySelectorAll('[name="operation"]')];
const note = document.getElementById("scopes-note");
const words = (text) => text.split(" ").filter(Boolean);
const needs = (box) => words(box.dataset.needs).filter((name) => boxes.has(name));

// Selecting a scope selects the scopes that it needs, and clearing a scope clears
// the scopes that need it. A note tells which.
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

const set = (box, checked, said) => {
  if (box.checked === checked) return;
  box.checked = checked;
  (checked ? tick : untick)(box, said);
};

// An operation is named by its endpoint, or else by its route. Next to it stands
// what it needs.
const scopesOf = (box) => box.parentElement.querySelector(".hint").textContent.trim().split(", ");
const endpointsOf = (box) => words(box.dataset.endpoints || (box.value.startsWith("/") ? box.value : ""));

const counted = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

// count shows how much is selected, and sets the level of each resource.
const count = () => {
  const chosen = [...boxes.values()].filter((box) => box.checked).map((box) => box.value);
  for (const group of form.querySelectorAll('[data-searched="scopes"] .group')) {
    const own = [...group.querySelectorAll('[name="scope"]')];
    const names = own.filter((box) => box.checked).map((box) => box.value).join(" ");
    const shown = group.querySelector("[data-count]");
    if (shown) shown.textContent = `${words(names).length} of ${own.length}`;
    const levels = [...group.querySelectorAll("[data-level]")];
    const level = levels.find((radio) => radio.value !== "custom" && radio.dataset.level === names);
    for (const radio of levels) radio.checked = radio === (level || levels.at(-1));
    const was = group.querySelector('[name^="was."]');
    if (was) was.value = (level || levels.at(-1)).value;
  }
  const limits = endpoints.filter((box) => box.checked).map((box) => box.value);
  const all = chosen.includes("All");
  const limited = limits.length === 0 ? "all endpoints" : counted(limits.length, "endpoint");
  form.querySelector("[data-selected]").textContent = all ? `All scopes, ${limited}` : `${counted(chosen.length, "scope")}, ${limited}`;
  const can = operations.filter((box) =>
    (all || scopesOf(box).every((scope) => chosen.includes(scope))) &&
    (limits.length === 0 || endpointsOf(box).length > 0 && endpointsOf(box).every((name) => limits.includes(name))));
  if (operations.length > 0) form.querySelector("[data-reach]").textContent = `${can.length} of ${counted(operations.length, "operation")} that need a scope`;
};

const say = (did, said) => {
  note.textContent = said.length === 0 ? "" : `${did}: ${said.join(", ")}.`;
};

form.addEventListener("change", ({ target }) => {
  const said = [];
  if (target.name === "scope") {
    (target.checked ? tick : untick)(target, said);
    say(target.checked ? "Also selected" : "Also cleared", said);
  } else if (target.name === "operation" && target.checked) {
    for (const scope of boxes.get("All")?.checked ? [] : scopesOf(target)) {
      const box = boxes.get(scope);
      if (box && !box.checked) said.push(scope);
      if (box) set(box, true, []);
    }
    say("Selected", said);
  } else if (target.dataset.level !== undefined && target.value !== "custom") {
    const wanted = words(target.dataset.level);
    for (const box of target.closest(".group").querySelectorAll('[name="scope"]')) set(box, wanted.includes(box.value), said);
    say(target.value === "none" ? "Also cleared" : "Also selected", said.filter((text) => !text.startsWith(`${target.name.slice(6)}:`)));
  } else if (target.dataset.level !== undefined) {
    return; // custom: the scopes stay as they are
  }
  count();
});

for (const preset of form.querySelectorAll("[data-scopes][name=preset]")) {
  preset.addEventListener("click", (event) => {
    event.preventDefault();
    const scopes = words(preset.dataset.scopes), names = words(preset.dataset.endpoints);
    for (const [name, box] of boxes) box.checked = scopes.includes(name);
    for (const box of endpoints) box.checked = names.includes(box.value);
    for (const box of operations) box.checked = false;
    note.textContent = `Selected: ${preset.textContent}.`;
    unfold();
    count();
  });
}

// unfold shows the single scopes of the resources of which some are selected.
const unfold = () => {
  for (const folded of form.querySelectorAll(".group > details")) folded.open = folded.querySelector("[name=scope]:checked") !== null;
};

// Choosing a day is choosing to expire on it.
document.getElementById("date")?.addEventListener("input", () => {
  form.querySelector('[name="expires"][value="date"]').checked = true;
});

for (const part of form.querySelectorAll("[data-only-script]")) part.hidden = false;

// filter hides the rows that don't have all words, and returns how many are left.
const filter = (rows, text) => {
  const wanted = text.toLowerCase().split(/\s+/);
  let found = 0;
  for (const row of rows) {
    row.hidden = !wanted.every((word) => row.textContent.toLowerCase().includes(word));
    if (!row.hidden) found++;
  }
  return found;
};

const search = document.getElementById("scope-search");
search.addEventListener("input", () => {
  const found = {};
  for (const list of form.querySelectorAll("[data-searched]")) {
    found[list.dataset.searched] = 0;
    for (const group of list.querySelectorAll(".group")) {
      const rows = [...group.querySelectorAll(":scope > .check, :scope > details > .check")];
      const n = filter(rows, search.value);
      found[list.dataset.searched] += n;
      group.hidden = n === 0;
      for (const folded of group.querySelectorAll(":scope > details")) folded.open = true;
    }
  }
  if (search.value === "") unfold();
  const folded = document.getElementById("operations");
  if (folded && search.value && found.operations > 0) folded.open = true;
  document.getElementById("scopes-found").textContent = search.value === "" ? "" :
    Object.entries(found).map(([what, n]) => counted(n, what.slice(0, -1))).join(" and ");
});
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") event.preventDefault();
});

document.getElementById("endpoint-search")?.addEventListener("input", ({ target }) => {
  const rows = [...document.querySelectorAll("#endpoints .check")];
  document.getElementById("endpoints-found").textContent = `${filter(rows, target.value)} of ${rows.length} endpoints`;
});
