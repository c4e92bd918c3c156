"""What becomes of each key of a foreign configuration: every one ends in exactly one of four ways.

    carried        a setting of the recipe means the same
    otherwise      ours differs, and one sentence says how
    unneeded       there is nothing to carry, and one sentence says why
    lost           Tutelage has nothing like it; what runs is not what was asked in this point

Defaults that a peer would use and that differ from ours are carried like keys. What stands on a key that is off (null, false, 0, an
empty list) is unneeded unless somebody reads it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tutelage.core.errors import UserError
from tutelage.core.settings import Lines, Located, Place, Plain, closest, located

Fate = Literal["carried", "otherwise", "unneeded", "lost"]
FATES: tuple[Fate, ...] = ("lost", "otherwise", "carried", "unneeded")
"""Of a key that is noted twice the earlier one stands."""
NUMBER = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?")
Reasons = Mapping[str, Iterable[str]]
"""A sentence, and the keys that it is true of."""


@dataclass(frozen=True)
class Note:
    """One key and what became of it."""

    key: str
    value: Plain
    line: int | None
    """None: it is the peer's default, or stood on a command line."""
    given: bool
    """Whether the file says it; otherwise it is the peer's default."""
    fate: Fate
    what: str
    """A setting with its value, or a sentence."""


@dataclass(frozen=True)
class Peer:
    """What is known of one tool's files."""

    name: str
    defaults: Mapping[str, Plain]
    unneeded: Reasons
    lost: Reasons
    read: Iterable[str] = ()
    """Keys that are read one by one."""

    @property
    def known(self) -> set[str]:
        return {*self.defaults, *self.read, *(key for some in (self.unneeded, self.lost) for keys in some.values() for key in keys)}


@dataclass
class Account:
    """The keys of one file, each to be accounted for once, and the recipe's settings that come of them. `stage` is the name of the one
    stage, which every setting without a dot at its beginning belongs to."""

    file: Located
    peer: Peer
    notes: dict[str, Note] = field(default_factory=dict[str, Note])
    settings: dict[Place, Plain] = field(default_factory=dict[Place, Plain])
    comments: dict[Place, str] = field(default_factory=dict[Place, str])
    lines: dict[Place, int | str] = field(default_factory=dict[Place, int | str])
    stage: str = ""

    @property
    def tree(self) -> dict[str, Plain]:
        assert isinstance(self.file.tree, dict)
        return self.file.tree

    def given(self, key: str) -> bool:
        """Whether the file sets it to anything."""
        return self.tree.get(key) is not None

    def value(self, key: str) -> Plain:
        """What the file says, or what the peer takes then."""
        return self.tree[key] if self.given(key) else self.peer.defaults.get(key)

    def number(self, key: str) -> float | None:
        """A number, also one in quotes or with underscores (5_000), as peers read it. UserError for anything else that isn't null."""
        found = self.value(key)
        if isinstance(found, str) and NUMBER.fullmatch(found):
            found = float(found.replace("_", ""))
            return int(found) if found == int(found) else found
        if found is not None and (isinstance(found, bool) or not isinstance(found, int | float)):
            raise self.fault(key, f"expected a number, got {found!r}")
        return found

    def whole(self, key: str) -> int | None:
        found = self.number(key)
        if found is not None and found != int(found):
            raise self.fault(key, f"expected a whole number, got {found!r}")
        return None if found is None else int(found)

    def flag(self, key: str) -> bool:
        found = self.value(key)
        if found is not None and not isinstance(found, bool):
            raise self.fault(key, f"expected true or false, got {found!r}")
        return bool(found)

    def text(self, key: str) -> str | None:
        found = self.value(key)
        if found is not None and not isinstance(found, str):
            raise self.fault(key, f"expected text, got {found!r}")
        return found

    def names(self, key: str) -> list[str]:
        """A list of texts, or one text with commas."""
        found = self.value(key)
        parts: list[Any] = found.split(",") if isinstance(found, str) else found if isinstance(found, list) else [found]
        if found is not None and not all(isinstance(part, str) for part in parts):
            raise self.fault(key, f"expected names, got {found!r}")
        return [] if found is None else [part.strip() for part in parts]

    def fault(self, key: str, what: str) -> UserError:
        """A mistake at a key, for the caller to raise."""
        return UserError(f"{located(place_of(key), self.file.name, self.file.lines)}: {what}")

    def carry(self, key: str, path: str, value: Plain, said: str = "") -> None:
        """The setting `path` of the stage (or, after a dot, of the recipe) is what became of `key`."""
        self.put(path, value, f"{key}{'' if self.given(key.split('.')[0]) else f', the default of {self.peer.name}'}", self._line(key))
        self._note(key, "carried" if not said else "otherwise", said or f"{path.lstrip('.')}: {shown(value)}")

    def put(self, path: str, value: Plain, by: str, line: int | None = None) -> None:
        """A setting that follows from more than one key, or from none."""
        parts = path.split(".")
        place = tuple(parts[1:]) if path.startswith(".") else ("stages", self.stage, *parts)
        self.settings[place], self.comments[place] = value, by
        self.lines[place] = self.file.lines.get((), 1) if line is None else line

    def meant(self, key: str, what: str) -> None:
        """Carried by what is written elsewhere."""
        self._note(key, "carried", what)

    def otherwise(self, key: str, what: str) -> None:
        self._note(key, "otherwise", what)

    def unneeded(self, key: str, what: str) -> None:
        self._note(key, "unneeded", what)

    def lost(self, key: str, what: str) -> None:
        self._note(key, "lost", what)

    def close(self) -> None:
        """Account for what nobody has read. UserError (did you mean) for a key that the peer doesn't know either."""
        reasons = [(fate, why, key) for fate in ("unneeded", "lost") for why, keys in getattr(self.peer, fate).items() for key in keys]
        by_key = {key: (fate, why) for fate, why, key in reasons}
        for key, value in self.tree.items():
            if key not in self.peer.known and key not in self.notes:
                raise self.fault(key, f"{self.peer.name} has no such key{closest(key, self.peer.known)}")
            if key in self.notes or any(note.startswith(f"{key}.") for note in self.notes):
                continue
            fate, why = by_key.get(key, ("unneeded", "has no effect with the other keys"))
            if off(value):
                fate, why = "unneeded", "not set"
            self._note(key, "lost" if fate == "lost" else "unneeded", why)

    def _note(self, key: str, fate: Fate, what: str) -> None:
        known = self.notes.get(key)
        if known is not None and (known.fate, known.what) != (fate, what):
            what = f"{known.what}; {what}"
            fate = next(one for one in FATES if one in (known.fate, fate))
        value: Any = self.file.tree
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else value[int(part)] if isinstance(value, list) else None
        given = value is not None
        self.notes[key] = Note(key, value if given else self.peer.defaults.get(key), self._line(key), given, fate, what)

    def _line(self, key: str) -> int | None:
        return line_of(key, self.file.lines)


def place_of(key: str) -> Place:
    """`datasets.0.path` as a place in the file."""
    return tuple(int(part) if part.isdigit() else part for part in key.split("."))


def line_of(key: str, lines: Lines) -> int | None:
    """Of `datasets.0.path`, or of the nearest key above it."""
    parts = place_of(key)
    for length in range(len(parts), 0, -1):
        mark = lines.get(parts[:length])
        if isinstance(mark, int):
            return mark
    return None


def off(value: Plain) -> bool:
    """What a key that does nothing is set to."""
    return value in (None, False, 0, "", "none", "no") or value == [] or value == {}


def shown(value: Plain) -> str:
    """A value in a sentence."""
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(inner)}" for key, inner in value.items()) + "}"
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
