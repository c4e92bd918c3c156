"""YAML read strictly, with the line of every value.

A recipe must mean what it says. So: the scalars of YAML 1.2's core schema (`1e-5` is a number; dates and `1:30` are text), and an
error, with its line, where YAML would guess: the YAML 1.1 words yes/no/on/off, duplicate keys, numbers with leading zeros, tags,
merge keys, aliases. Text that looks like one of these is written in quotes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from tutelage.core.errors import UserError

Plain: TypeAlias = "dict[str, Plain] | list[Plain] | str | int | float | bool | None"
Place: TypeAlias = tuple[str | int, ...]
"""Where a value stands: ("stages", "ppo", "kl_coef"); list items by number from 0."""
Lines: TypeAlias = Mapping[Place, int | str]
"""Line (from 1) of each place; or, where the command line gave the value, the override's own text."""

compose: Any = getattr(yaml, "compose")  # noqa: B009  (PyYAML states no types)
WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
PADDED = re.compile(r"[-+]?0[0-9]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True)
class Located:
    """A plain tree and where each of its values was written."""

    tree: Plain
    lines: Lines
    name: str
    """The file's name, as errors give it."""

    def overridden(self, text: str) -> "Located":
        """With one `path=value` set; errors about it then quote the override instead of a line."""
        parts, value = parse_override(text)
        tree, place = put(self.tree, parts, value, text), _numbered(self.tree, parts)
        above = {place[:length]: text for length in range(len(place)) if place[:length] not in self.lines}
        return Located(tree, {**self.lines, **above, **{(*place, *inner): text for inner in _places(value)}}, self.name)


def read_yaml(source: Path | str, name: str = "") -> Located:
    """Read a file (given as a `Path`) or a text (given as a `str`). Raises UserError with the line of whatever isn't plain."""
    name = name or (str(source) if isinstance(source, Path) else "<text>")
    try:
        text = source.read_bytes().decode("utf-8-sig") if isinstance(source, Path) else source
    except FileNotFoundError:
        raise UserError(f"{name}: no such file") from None
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from None
    return _parse(text, name, by_line=True)


def write_yaml(tree: Plain) -> str:
    """Text that `read_yaml` reads as the same tree: what it would take for something else stands in quotes."""
    return yaml.dump(tree, Dumper=_Writer, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120)


def _parse(text: str, name: str, by_line: bool) -> Located:
    try:
        node: yaml.Node | None = compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name} line {mark.line + 1}" if mark and by_line else name
        raise UserError(f"{place}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None
    return _Reader(name, by_line).read(node)


def located(place: Place, where: str, lines: Lines) -> str:
    """`recipe.yaml line 12: stages.ppo.kl_coef`: the nearest known line at or above a place, and the place."""
    for length in range(len(place), -1, -1):
        mark = lines.get(place[:length])
        if mark is not None:
            where = f"{where} line {mark}" if isinstance(mark, int) else f"override '{mark}'"
            break
    return f"{where}: {dotted(place)}" if place else where


def dotted(place: Place) -> str:
    return ".".join(str(part) for part in place)


def override(tree: Plain, text: str) -> Plain:
    """A new tree with one `path=value` set, `value` read as YAML. Keys missing on the way are made; that the path means
    something is checked when settings are built. Raises UserError where the path runs through a value or outside a list."""
    place, value = parse_override(text)
    return put(tree, place, value, text)


def parse_override(text: str) -> tuple[Place, Plain]:
    """`stages.ppo.kl_coef=0.1` -> (("stages", "ppo", "kl_coef"), 0.1)."""
    path, sign, value = text.partition("=")
    parts = path.strip().split(".")
    if not sign or not all(parts):
        raise UserError(f"override '{text}': write it as path=value, for example stages.ppo.kl_coef=0.1")
    if not value.strip():
        raise UserError(f"override '{text}': no value; write {path}=null to unset it")
    return tuple(parts), _parse(value, f"override '{text}'", by_line=False).tree


def put(tree: Plain, place: Place, value: Plain, text: str) -> Plain:
    """`tree` with `value` at `place`; what isn't on the way is shared, nothing is changed in place."""
    if not place:
        return value
    first, rest = place[0], place[1:]
    if isinstance(tree, list):
        if not str(first).isdigit() or int(first) >= len(tree):
            raise UserError(f"override '{text}': '{first}' is no item of a list of {len(tree)}; items are numbered from 0")
        at = int(first)
        return [*tree[:at], put(tree[at], rest, value, text), *tree[at + 1 :]]
    if tree is not None and not isinstance(tree, dict):
        raise UserError(f"override '{text}': '{first}' cannot be set inside the value {tree!r}")
    inside = tree or {}
    return {**inside, str(first): put(inside.get(str(first)), rest, value, text)}


def _places(value: Plain) -> Iterator[Place]:
    yield ()
    items: Iterable[tuple[str | int, Plain]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield from ((key, *place) for place in _places(inner))


def _numbered(tree: Plain, parts: Place) -> Place:
    """An override's path with the items of lists as numbers."""
    place: list[str | int] = []
    for part in parts:
        inner: Plain = None
        if isinstance(tree, list):
            part = int(part)
            inner = tree[part]
        elif isinstance(tree, dict):
            inner = tree.get(str(part))
        place.append(part)
        tree = inner
    return tuple(place)


class _Reader:
    """Walks PyYAML's nodes, which carry lines, into plain values."""

    def __init__(self, name: str, by_line: bool) -> None:
        self.name, self.by_line = name, by_line
        self.lines: dict[Place, int | str] = {}
        self.seen: set[int] = set()

    def read(self, node: yaml.Node | None) -> Located:
        tree = None if node is None else self.value(node, (), node.start_mark.line + 1)
        return Located(tree, self.lines, self.name)

    def fail(self, node: yaml.Node, place: Place, what: str) -> UserError:
        where = f"{self.name} line {node.start_mark.line + 1}" if self.by_line else self.name
        return UserError(f"{where}: {dotted(place)}: {what}" if place else f"{where}: {what}")

    def value(self, node: yaml.Node, place: Place, line: int) -> Plain:
        self.lines[place] = line
        if id(node) in self.seen:
            raise self.fail(node, place, "anchors and aliases are not read; write the value out")
        self.seen.add(id(node))
        if not node.tag.endswith((":str", ":seq", ":map")):
            raise self.fail(node, place, f"the tag {node.tag} is not read; write plain values")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, place)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, place)
        return [self.value(item, (*place, at), item.start_mark.line + 1) for at, item in enumerate(node.value)]

    def mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Plain]:
        tree: dict[str, Plain] = {}
        for key_node, value_node in node.value:
            key = self.key(key_node, place)
            if key in tree:
                raise self.fail(key_node, (*place, key), f"duplicate key, first given in line {self.lines[(*place, key)]}")
            tree[key] = self.value(value_node, (*place, key), key_node.start_mark.line + 1)
        return tree

    def key(self, node: yaml.Node, place: Place) -> str:
        key = self.scalar(node, place) if isinstance(node, yaml.ScalarNode) else None
        if key == "<<":
            raise self.fail(node, place, "merge keys (<<) are not read; write the settings out")
        if key is None:
            raise self.fail(node, place, "a key must be text")
        if not isinstance(key, str):
            raise self.fail(node, place, f"the key {node.value} is not text; write '{node.value}'")
        return key

    def scalar(self, node: yaml.ScalarNode, place: Place) -> Plain:
        """The value of a scalar, by the core schema of YAML 1.2."""
        text: str = node.value
        if node.style is not None:
            return text
        if text.lower() in WORDS:
            raise self.fail(node, place, f"the word {text} is ambiguous; write {WORDS[text.lower()]}, or '{text}' in quotes for text")
        if text in ("", "~") or (text.lower() in CONSTANTS and text in (text.lower(), text.upper(), text.capitalize())):
            return CONSTANTS[text.lower()]
        if PADDED.fullmatch(text):
            raise self.fail(node, place, f"{text} starts with a zero; write it without, or in quotes for text")
        return _number(text)


def _number(text: str) -> int | float | str:
    if INTEGER.fullmatch(text):
        return int(text)
    if BASED.fullmatch(text):
        return int(text, 0)
    if FLOAT.fullmatch(text):
        return float(text)
    if SPECIAL.fullmatch(text):
        return float(text.replace(".", "").lower())
    return text


class _Writer(yaml.SafeDumper):
    """PyYAML's writer quotes by YAML 1.1; this one also by what we read."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        plain = _number(text) == text and text.lower() not in {**WORDS, **CONSTANTS} and not PADDED.fullmatch(text)
        return yaml.ScalarNode("tag:yaml.org,2002:str", text, style=None if plain else "'")

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Writer.add_representer(str, _Writer.represent_text)
