// Cards stand in the order that was typed: they slide there, ties touch, and the document's own order follows, so that what is read
// aloud and what Tab reaches is what is seen.

import { letter, parse, placed, touched } from "./order.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");

export function arrange(list, text, k) {
  const { tiers } = parse(text, k);
  const byPlace = new Map([...list.children].map((card) => [Number(card.dataset.place), card]));
  const was = new Map([...byPlace.values()].map((card) => [card, card.getBoundingClientRect()]));
  const scrolls = new Map([...byPlace.values()].map((card) => [card, card.querySelector(".card-body").scrollTop]));
  const focused = document.activeElement;
  const ranked = tiers.flat();
  const order = [...ranked, ...[...byPlace.keys()].sort((a, b) => a - b).filter((place) => !ranked.includes(place))];
  if (order.some((place, i) => list.children[i] !== byPlace.get(place))) {
    for (const place of order) list.append(byPlace.get(place));
    if (list.contains(focused)) focused.focus({ preventScroll: true });
    for (const [card, top] of scrolls) card.querySelector(".card-body").scrollTop = top;
  }
  for (const card of byPlace.values()) mark(card, tiers);
  for (const [card, from] of was) slide(card, from);
}

function mark(card, tiers) {
  const place = Number(card.dataset.place);
  const at = tiers.findIndex((tier) => tier.includes(place));
  const inside = at < 0 ? -1 : tiers[at].indexOf(place);
  card.classList.toggle("tied", inside > 0);
  card.classList.toggle("ties-on", at >= 0 && inside < tiers[at].length - 1);
  const rank = card.querySelector(".rank");
  if (!rank) return;
  const number = tiers.slice(0, Math.max(at, 0)).reduce((n, tier) => n + tier.length, 1);
  rank.textContent = at < 0 ? "–" : String(number);
  rank.classList.toggle("none", at < 0);
  const name = `Response ${letter(place)}`;
  rank.setAttribute("aria-label", at < 0 ? `${name} has no rank; give it the next` : `${name} is ranked ${number}; take its rank away`);
}

function slide(card, from) {
  if (still.matches || card.classList.contains("dragged")) return;
  const to = card.getBoundingClientRect();
  const [x, y] = [from.left - to.left, from.top - to.top];
  if (!x && !y) return;
  card.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }], { duration: 180, easing: "cubic-bezier(0.2, 0, 0, 1)" });
}

// Dragging by the grip; touching the big digit ranks a response next, or takes its rank away.
export function touchable(list, input, k, changed) {
  for (const card of list.children) {
    const place = Number(card.dataset.place);
    for (const hidden of card.querySelectorAll("[data-script]")) hidden.hidden = false;
    card.querySelector(".rank").addEventListener("click", () => set(touched(input.value, place, k)));
    card.querySelector(".grip").addEventListener("pointerdown", (event) => drag(event, card, place));
  }
  const set = (text) => {
    input.value = text;
    changed();
  };
  function drag(down, card, place) {
    if (down.button) return;
    down.preventDefault();
    card.setPointerCapture(down.pointerId);
    card.classList.add("dragged");
    const move = (event) => {
      card.style.transform = `translate(${event.clientX - down.clientX}px, ${event.clientY - down.clientY}px)`;
    };
    const drop = (event) => {
      card.removeEventListener("pointermove", move);
      card.removeEventListener("pointerup", drop);
      card.removeEventListener("pointercancel", drop);
      const index = event.type === "pointerup" ? indexAt(list, card, event) : -1;
      card.style.transform = "";
      card.classList.remove("dragged");
      if (index >= 0) set(placed(input.value, place, index, k));
    };
    card.addEventListener("pointermove", move);
    card.addEventListener("pointerup", drop);
    card.addEventListener("pointercancel", drop);
  }
}

function indexAt(list, card, event) {
  const others = [...list.children].filter((other) => other !== card);
  const boxes = others.map((other) => other.getBoundingClientRect());
  const across = boxes.length > 1 && Math.abs(boxes[0].top - boxes[1].top) < 8;
  const before = boxes.findIndex((box) =>
    across ? event.clientX < box.left + box.width / 2 : event.clientY < box.top + box.height / 2,
  );
  return before < 0 ? others.length : before;
}

// Long responses beside each other scroll together, each by its own share.
export function scrollTogether(list) {
  const bodies = [...list.querySelectorAll(".card-body")];
  let leader = null;
  let free = 0;
  for (const body of bodies) {
    body.addEventListener("scroll", () => {
      if (leader && leader !== body) return;
      leader = body;
      clearTimeout(free);
      free = setTimeout(() => (leader = null), 120);
      const share = body.scrollTop / Math.max(1, body.scrollHeight - body.clientHeight);
      for (const other of bodies) if (other !== body) other.scrollTop = share * (other.scrollHeight - other.clientHeight);
    });
  }
}

// What scrolls can be reached by Tab; what doesn't is no stop.
export function reachable(list) {
  for (const body of list.querySelectorAll(".card-body")) {
    const scrolls = body.scrollHeight > body.clientHeight + 1;
    if (scrolls) body.tabIndex = 0;
    else body.removeAttribute("tabindex");
  }
}
