"""The recipe as a page for people: each setting beside the key that it came from, and on top what was said otherwise and what was lost."""

import json
from collections.abc import Mapping

from tutelage.core.settings import Place, Plain, write_yaml
from tutelage.recipes.moving.account import Account, Fate, Note, shown

HEADINGS: Mapping[Fate, str] = {
    "lost": "Could not be carried: what runs is not what was asked in this",
    "otherwise": "Said otherwise",
    "unneeded": "Not needed here",
    "carried": "Carried",
}
WIDTH = 140


def written(account: Account, source: str) -> str:
    """The whole page. `source` says what it was made from."""
    top = [f"# {source}, carried over by `tutelage import`.", *_header(account)]
    return "\n".join([*top, "", *_settings(nested(account.settings), account.comments, ())]) + "\n"


def nested(settings: Mapping[Place, Plain]) -> dict[str, Plain]:
    """A tree of settings by place."""
    tree: dict[str, Plain] = {}
    order = ("schema", "model", "seed", "inputs", "stages")
    for place, value in sorted(settings.items(), key=lambda one: order.index(str(one[0][0]))):
        inside = tree
        for part in place[:-1]:
            inner = inside.setdefault(str(part), {})
            assert isinstance(inner, dict)
            inside = inner
        inside[str(place[-1])] = value
    return tree


def by_fate(account: Account, fate: Fate) -> list[Note]:
    """In the order of the file's lines; defaults last."""
    return sorted((note for note in account.notes.values() if note.fate == fate), key=lambda note: note.line or 10**9)


def sentence(note: Note) -> str:
    """`line 12: lora_dropout 0.05: why`"""
    value = shown(note.value) if not isinstance(note.value, list | dict) else ""
    where = f"line {note.line}: " if note.line else "" if note.given else "default: "
    return f"{where}{note.key}{f' {value}' if value else ''}: {note.what}"


def _header(account: Account) -> list[str]:
    lines: list[str] = []
    for fate in ("lost", "otherwise"):
        found = by_fate(account, fate)
        if found:
            lines += ["#", f"# {HEADINGS[fate]}:", *(line for note in found for line in _wrapped(sentence(note)))]
    unneeded = [note.key for note in by_fate(account, "unneeded") if note.given]
    if unneeded:
        lines += ["#", f"# {HEADINGS['unneeded']}:", *_wrapped(", ".join(unneeded))]
    return lines


def _wrapped(text: str) -> list[str]:
    """A comment over as many lines as it takes."""
    lines, line = list[str](), "#  "
    for word in text.split():
        if len(line) + len(word) + 1 > WIDTH:
            lines.append(line)
            line = "#     "
        line += f" {word}"
    return [*lines, line]


def _settings(tree: Mapping[str, Plain], comments: Mapping[Place, str], place: Place) -> list[str]:
    lines: list[str] = []
    indent = "  " * len(place)
    for key, value in tree.items():
        here = (*place, key)
        if isinstance(value, dict) and value and here not in comments:
            lines += [f"{indent}{key}:", *_settings(value, comments, here)]
            continue
        line = f"{indent}{key}: {_flow(value)}"
        comment = comments.get(here, "")
        lines.append(f"{line:<50}  # {comment}" if comment else line)
    return lines


def _flow(value: Plain) -> str:
    """A value on one line, as YAML: text with a mark that a list or a mapping has stands in quotes."""
    if isinstance(value, str) and set("[]{},") & set(value):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    line = write_yaml({"x": value}).removeprefix("x:").strip()
    return json.dumps(value) if "\n" in line else line
