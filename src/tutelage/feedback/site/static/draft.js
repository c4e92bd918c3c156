// A draft goes to the server soon after each change, and when the page is left; if the server can't be reached it waits in this
// browser. Also counts how long a person looked, and how long they did something.

const IDLE = 30_000; // ms without a sign of life after which time is no work

export function drafts(form, saved, tell) {
  const place = `draft:${form.elements.submit.value}`;
  let timer = 0;
  let over = false; // stored, and the page is on its way out
  let sent = text();

  function text() {
    const values = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (!["opened", "active_ms", "total_ms"].includes(name)) values.append(name, value);
    return values.toString();
  }

  async function send() {
    clearTimeout(timer);
    const now = text();
    if (now === sent || over) return;
    let answer = null;
    try {
      answer = await fetch(form.dataset.draft, { method: "POST", body: new URLSearchParams(now), headers: { Accept: "application/json" } });
    } catch {
      // no connection: tried again below
    }
    if (over) return;
    if (answer?.ok) {
      sent = now;
      localStorage.removeItem(place);
      saved.textContent = "saved";
      return;
    }
    localStorage.setItem(place, now);
    const no = answer && answer.status < 500 && answer.status !== 429; // it would be refused again
    saved.textContent = no ? "not saved, kept in this browser" : "not sent yet, kept in this browser";
    if (!no) timer = setTimeout(send, 5000);
    else tell((await answer.json().catch(() => ({}))).error ?? "The draft was refused.", "wrong");
  }

  const changed = () => {
    if (text() === sent) return;
    saved.textContent = "saving…";
    clearTimeout(timer);
    timer = setTimeout(send, 350);
  };
  form.addEventListener("input", changed);
  addEventListener("pagehide", () => {
    const now = text();
    if (now !== sent && !over) navigator.sendBeacon(form.dataset.draft, new URLSearchParams(now));
  });

  // What the server didn't get the last time.
  const kept = localStorage.getItem(place);
  if (kept) {
    fill(form, new URLSearchParams(kept));
    if (text() === sent) localStorage.removeItem(place);
    else changed();
  }
  return {
    changed,
    keep: () => (localStorage.setItem(place, text()), (saved.textContent = "not saved, kept in this browser")),
    forget: () => (clearTimeout(timer), (over = true), localStorage.removeItem(place)),
  };
}

function fill(form, values) {
  for (const field of form.elements) {
    if (!field.name || field.type === "hidden") continue;
    const given = values.get(field.name);
    if (field.type === "radio" || field.type === "checkbox") field.checked = given === field.value;
    else if (given !== null) field.value = given;
  }
}

export function clock(form) {
  const place = `time:${form.elements.submit.value}`;
  const spent = JSON.parse(sessionStorage.getItem(place) ?? "[0,0]");
  let before = performance.now();
  let lively = before;
  const count = () => {
    const now = performance.now();
    spent[0] += now - before;
    if (!document.hidden && now - lively < IDLE) spent[1] += now - before;
    before = now;
    form.elements.total_ms.value = String(Math.round(spent[0]));
    form.elements.active_ms.value = String(Math.round(spent[1]));
    sessionStorage.setItem(place, JSON.stringify(spent));
  };
  for (const sign of ["keydown", "pointermove", "pointerdown", "scroll", "touchstart"])
    addEventListener(sign, () => (lively = performance.now()), { passive: true });
  setInterval(count, 1000);
  addEventListener("visibilitychange", count);
  return count;
}
