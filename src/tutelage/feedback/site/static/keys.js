// Single keys, where nobody is typing. What a key means is in the study's settings (`keys`), and a person may turn them all off.

const TEXT = "input:not([type=radio]):not([type=checkbox]):not([type=hidden]), textarea, select, [contenteditable]";

export const typing = (element) => element?.matches?.(TEXT) ?? false;

// A key that is held does what it says once; only what moves through the page goes on.
const held = (event) => event.repeat && !/^(Arrow|Backspace)/.test(event.key);

export function shortcuts(commands, act) {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return done(event, held(event) || act("submit"));
    if (event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") return done(event, act("escape"));
    if (typing(event.target) || localStorage.getItem("keys") === "off") return;
    const native = event.target.closest?.("button, a, summary, [role=button]");
    if (native && (event.key === "Enter" || event.key === " ")) return;
    if (document.querySelector("dialog[open]") && event.key !== commands.help) return;
    done(event, held(event) ? event.key === "Enter" : act(commandOf(commands, event), event));
  });
}

const commandOf = (commands, event) => Object.keys(commands).find((name) => commands[name] === event.key) ?? "";

function done(event, handled) {
  if (handled) event.preventDefault();
}
