// The labelling page: everything that a form does, by single keys. Without this file the page is a form and works as one.

import { arrange, reachable, scrollTogether, touchable } from "./cards.js";
import { clock, drafts } from "./draft.js";
import { shortcuts, typing } from "./keys.js";
import { letter, moved, numbered, parse, say, typed, write } from "./order.js";

const form = document.getElementById("answer");
const said = document.getElementById("said");
const help = document.getElementById("keys");
const list = form.querySelector(".cards");
const k = Number(form.dataset.k);
const commands = JSON.parse(form.dataset.commands);
const order = form.querySelector("input[data-order]");
const across = matchMedia("(min-width: 64rem)");
const draft = drafts(form, document.getElementById("saved"), tell);
const count = clock(form);
let chosen = -1; // place on the screen of the card that arrows have reached
let stop = null; // the group of fields that keys answer
let busy = false; // something was sent, and the page waits for the next

form.noValidate = true;
for (const hidden of document.querySelectorAll("[data-script]")) hidden.hidden = false;

// --- what is said below the form

function tell(text, kind = "") {
  if (said.textContent !== text) said.textContent = text;
  said.className = `said ${kind}`;
}

function sentence() {
  if (order) {
    const { tiers, left, open, fault } = parse(order.value, k);
    if (fault) return tell(fault, "wrong");
    if (!tiers.length) return tell(order.dataset.hint, "open");
    const rest = left.length === 1 && !open ? [...tiers, left] : tiers;
    const still = left.length > 1 || open ? `; ${left.map(letter).join(", ")} still open` : "";
    return tell(say(rest) + still, left.length > 1 || open ? "open" : "");
  }
  const open = stops().filter((field) => field.dataset.required && !answered(field));
  if (open.length) return tell(`${open[0].dataset.open}`, "open");
  tell(summary());
}

function summary() {
  const picked = [...form.querySelectorAll(".ask[data-stop] input:checked")].filter((input) => !input.closest(".card"));
  return picked.map((input) => input.dataset.label).join(" · ") || "Ready: press Enter.";
}

// --- stops: each group of fields that takes keys

const stops = () => [...form.querySelectorAll("[data-stop]")];
const answered = (field) =>
  field.querySelector("input:checked") !== null ||
  [...field.querySelectorAll("input[type=number], input[type=text], textarea")].some((input) => input.value.trim());

function go(field, focus = true, scroll = true) {
  for (const other of stops()) other.classList.toggle("stop-now", other === field);
  stop = field;
  if (!field) return;
  const card = field.closest(".card");
  if (card) choose(Number(card.dataset.place), false);
  const text = field.querySelector("input[type=number], input[type=text]:not([data-order]), textarea");
  if (text && focus) text.focus();
  else if (scroll && !field.closest(".foot")) field.scrollIntoView({ block: "nearest" });
}

function nextOpen() {
  const all = stops();
  const from = all.indexOf(stop);
  const field = [...all.slice(from + 1), ...all.slice(0, from + 1)].find((other) => other.dataset.required && !answered(other));
  if (field) go(field);
}

function pick(field, key) {
  const inputs = [...field.querySelectorAll("input[type=radio]")];
  const input = inputs.find((one) => one.dataset.key === key) ?? (inputs.every((one) => !one.dataset.key) ? inputs[Number(key) - 1] : undefined);
  if (!input) return false;
  input.checked = true;
  stop = field;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  nextOpen();
  return true;
}

// --- cards

const cardOf = (place) => list?.querySelector(`[data-place="${place}"]`);

function choose(place, scroll = true) {
  chosen = place;
  for (const card of list?.children ?? []) card.classList.toggle("chosen-now", Number(card.dataset.place) === place);
  if (scroll) cardOf(place)?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function walk(step) {
  const fields = stops().filter((field) => field.closest(".card"));
  if (fields.length) {
    const at = fields.indexOf(stop);
    go(fields[Math.min(fields.length - 1, Math.max(0, at < 0 ? 0 : at + step))], false);
    return true;
  }
  if (!list?.children.length) return false;
  const cards = [...list.children];
  const at = cards.findIndex((card) => Number(card.dataset.place) === chosen);
  choose(Number(cards[Math.min(cards.length - 1, Math.max(0, at < 0 ? 0 : at + step))].dataset.place));
  return true;
}

function reorder(text) {
  order.value = text;
  order.dispatchEvent(new Event("input", { bubbles: true }));
  return true;
}

function flags() {
  const card = cardOf(chosen) ?? list?.querySelector(".card");
  const more = card?.querySelector(".card-more");
  if (!more) return false;
  more.open = !more.open;
  choose(Number(card.dataset.place));
  (more.open ? more.querySelector("input") : card.querySelector(".card-more summary")).focus();
  return true;
}

function flag(key) {
  const panel = document.activeElement?.closest(".card-more[open]");
  const input = key && [...(panel?.querySelectorAll("input") ?? [])].find((one) => one.dataset.key === key);
  if (!input) return false;
  input.checked = !input.checked;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  input.focus();
  return true;
}

function names(card) {
  const on = [...card.querySelectorAll(".card-more input:checked")].map((input) => input.dataset.label);
  const shown = card.querySelector(".flag-list");
  if (shown) shown.textContent = on.length ? `: ${on.join(", ")}` : "";
}

function columns() {
  if (k < 3 || !across.matches) return false;
  const on = form.classList.toggle("columns");
  localStorage.setItem("columns", on ? "yes" : "");
  reachable(list);
  return true;
}

// --- sending

// The last one left over is last, as the sentence says. True when the order is whole.
function complete() {
  const { tiers, left, open, fault } = parse(order.value, k);
  if (!fault && !open && left.length === 1) order.value = write([...tiers, left]);
  else if (fault) tell(fault, "wrong");
  else if (left.length) tell(`${numbered(left)} ${left.length > 1 ? "have" : "has"} no rank yet.`, "wrong");
  else if (open) tell(`The order has a '${open}' without a response after it.`, "wrong");
  return !fault && !open && left.length <= 1;
}

async function send() {
  if (busy) return true;
  if (order && !complete()) return true;
  busy = true;
  count();
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "application/json" } });
    const told = await answer.json();
    const used = answer.status === 409; // the form is, by another tab; as a page the answer is the item, with what is written here
    const outdated = answer.status === 403; // somebody signed in anew in another tab; as a page the answer is this form, to be sent again
    if (answer.status === 401 || outdated) draft.keep(); // a reload, or the link in this tab, finds it
    if (!answer.ok && !used && !outdated) return (tell(told.error, "wrong"), (busy = false), true);
    if (answer.ok || used) draft.forget();
    // The same answer under the same token is kept once; sending it as a form shows what there is to say after it.
    if (told.after || used || outdated) HTMLFormElement.prototype.submit.call(form); // a field is named submit
    else location.assign(told.next);
    leave();
  } catch {
    tell("Not sent: the server can't be reached. Your answer stays here; press Enter to try again.", "wrong");
    busy = false;
  }
  return true;
}

// Until the next page is there nothing else is sent; if none comes, the keys work again.
function leave() {
  busy = true;
  setTimeout(() => (busy = false), 5000);
}

const press = (name) => {
  const button = form.querySelector(`button[data-does="${name}"]`);
  button?.click();
  return Boolean(button);
};

function escape() {
  if (help.open) help.close();
  else if (typing(document.activeElement) || document.activeElement?.closest(".card-more, .asides")) document.activeElement.blur();
  else {
    document.activeElement?.blur(); // choices, too, give the arrows back
    go(null);
  }
  return true;
}

const DOES = {
  submit: send,
  escape,
  undo: () => press("undo"),
  skip: () => (count(), press("skip")),
  flags,
  columns,
  help: () => (help.open ? help.close() : help.showModal(), true),
  guideline: () => {
    if (guide) guide.open = !guide.open;
    return Boolean(guide);
  },
  ask: () => {
    const ask = document.getElementById("ask");
    ask.open = true;
    ask.querySelector("textarea").focus();
    return true;
  },
};

shortcuts(commands, (name, event) => {
  const key = event?.key;
  const veil = document.querySelector(".veil .veil-ask");
  if (veil && name !== "help" && name !== "escape" && name !== "skip" && name !== "undo") return unveil(key);
  if (key && flag(key)) return true;
  if (stop && key && pick(stop, key)) return true;
  if (name in DOES) return (DOES[name](), true);
  // A group of choices that has the focus is the browser's to walk: that is what Tab and a screen reader expect.
  if (/^Arrow/.test(key) && event.target.type === "radio" && !event.shiftKey) return false;
  if (key === "Enter") return (send(), true);
  if (key === "ArrowUp" || key === "ArrowLeft") return event.shiftKey ? shift(-1) : walk(-1);
  if (key === "ArrowDown" || key === "ArrowRight") return event.shiftKey ? shift(1) : walk(1);
  if (order && (/^[1-9=]$/.test(key) || key === "Backspace")) return reorder(typed(order.value, key, k));
  return stops().some((field) => !field.closest(".card") && key && pick(field, key));
});

function shift(step) {
  return order && chosen >= 0 ? (reorder(moved(order.value, chosen, step, k)), choose(chosen)) || true : false;
}

function unveil(key) {
  if (key !== "Enter" && key !== " " && key !== commands.show) return true;
  document.querySelector(".veil .veil-ask a").click();
  return true;
}

// --- beginning

addEventListener("pageshow", (event) => event.persisted && location.reload()); // come back to: what it held was sent

form.addEventListener("submit", (event) => {
  if (event.submitter && event.submitter.dataset.does !== "submit") return busy ? event.preventDefault() : leave();
  event.preventDefault();
  send();
});
form.addEventListener("input", (event) => {
  if (order && event.target === order) arrange(list, order.value, k);
  const card = event.target.closest?.(".card");
  if (card) names(card);
  sentence();
});
form.addEventListener("focusin", (event) => {
  const field = event.target.closest("[data-stop]");
  if (field && field !== stop) go(field, false);
});
for (const button of document.querySelectorAll("[data-command]")) {
  button.addEventListener("click", (event) => {
    event.preventDefault();
    DOES[button.dataset.command]();
  });
}
const off = document.getElementById("keys-off");
off.checked = localStorage.getItem("keys") === "off";
off.addEventListener("change", () => localStorage.setItem("keys", off.checked ? "off" : ""));

if (list && order) {
  touchable(list, order, k, () => order.dispatchEvent(new Event("input", { bubbles: true })));
  arrange(list, order.value, k);
  form.querySelector("[data-tie]")?.addEventListener("click", () => reorder(typed(order.value, "=", k)));
}
if (list) {
  if (localStorage.getItem("columns") && k >= 3 && across.matches) form.classList.add("columns");
  scrollTogether(list);
  reachable(list);
  for (const card of list.children) names(card);
  addEventListener("resize", () => reachable(list));
}
const guide = form.querySelector(".guide details");
if (guide) {
  // On a small screen the guideline is read first, and then out of the way until it is asked for.
  const where = `guideline:${across.matches ? "beside" : "above"}`;
  if (localStorage.getItem(where) === "closed") guide.open = false;
  guide.addEventListener("toggle", () => localStorage.setItem(where, guide.open ? "open" : "closed"));
  form.addEventListener("input", () => across.matches || localStorage.getItem(where) || localStorage.setItem(where, "closed"));
}
const first = stops().find((field) => field.dataset.required && !answered(field));
if (first && !order) go(first, false, false);
sentence();
document.documentElement.dataset.ready = "yes";
