"""A peer's data as an input of a recipe: the file itself where its rows read here as they read there, else a file of rows written for it.

Rows are written anew where columns have other names, several files are one set, only some rows are asked for, or a system prompt is put
before each. What lies on the hub is left for the user to bring: the input is null, and its comment says how.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from tutelage.core.conversations import CALL, calls
from tutelage.core.errors import UserError
from tutelage.core.rows import ENDINGS, Record, records

Kind = Literal["demonstrations", "preferences", "text"]
HUB = re.compile(r"[\w.-]+(/[\w.-]+)?")
ROLES = {"human": "user", "gpt": "assistant", "observation": "tool", "model": "assistant", "bot": "assistant"}


@dataclass(frozen=True)
class Columns:
    """Where a row's parts stand. None: there is none of it."""

    prompt: str | None = None
    query: str | None = None
    response: str | None = None
    system: str | None = None
    history: str | None = None
    messages: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    text: str | None = None
    role: str = "role"
    content: str = "content"
    roles: Mapping[str, str] = field(default_factory=dict[str, str])
    """Speakers by the names that they have in the file."""
    joint: str = "\n\n"
    """What stands between prompt and query."""

    @property
    def plain(self) -> bool:
        """Whether the readers of recipes find the same by these names."""
        named = (self.system, self.history) == (None, None) and not self.roles
        turns = self.messages in (None, "messages", "conversations") and (self.role, self.content) in (
            ("role", "content"),
            ("from", "value"),
        )
        asked = (self.prompt, self.query) in ((None, None), ("prompt", None), ("instruction", None), ("instruction", "input"))
        answers = self.response in (None, "completion", "output", "response") and self.text in (None, "text")
        return named and turns and asked and answers and (self.chosen, self.rejected) in ((None, None), ("chosen", "rejected"))


@dataclass(frozen=True)
class Source:
    """One data set of a configuration."""

    key: str
    """Of the configuration: datasets[0]."""
    path: Path | None
    """None: it lies on the hub."""
    name: str
    """As the configuration has it."""
    columns: Columns
    first: int | None = None
    """Only so many rows, from the beginning."""
    system: str | None = None
    """A system prompt for rows that have none."""


def local(name: str, beside: Path) -> Path | None:
    """The file or folder of that name, here or beside the configuration; None for what can only be a hub id."""
    for path in (Path(name).expanduser(), beside / name):
        if path.exists():
            return path
    return (
        None if HUB.fullmatch(name) and not name.startswith(".") and not name.endswith((*ENDINGS, ".csv", ".gz", ".arrow")) else Path(name)
    )


def only_file(path: Path, place: str) -> Path:
    """A file of rows: the path itself, or the one in a folder. UserError where there is none, or more than one, or of an unknown kind."""
    if path.is_dir():
        found = sorted(inner for inner in path.iterdir() if inner.name.endswith(ENDINGS))
        if len(found) != 1:
            raise UserError(f"{place}: the folder {path} holds {len(found) or 'no'} files of rows; name the file that is meant")
        return found[0]
    if not path.is_file():
        raise UserError(f"{place}: there is no file {path}")
    if not path.name.endswith(ENDINGS):
        raise UserError(f"{place}: {path}: rows are read from {', '.join(ENDINGS)}; save it as one of them")
    return path


def direct(sources: list[Source], kind: Kind) -> bool:
    """Whether the one file can be given as it is."""
    (one, *more) = sources
    if more or one.path is None or one.first is not None or one.system or not one.columns.plain:
        return False
    if one.columns.query and one.columns.joint != "\n\n":
        return not any(record.values.get(one.columns.query) for record in records(one.path))
    return kind == "text" or one.columns.history is None


def rows(sources: list[Source], kind: Kind) -> Iterator[dict[str, Any]]:
    """Every row of every source, in the forms that recipes read. Raises UserError with file, row and field."""
    for source in sources:
        assert source.path is not None
        for record in islice(records(source.path), source.first):
            yield row(record, source, kind)


def row(record: Record, source: Source, kind: Kind) -> dict[str, Any]:
    """One row as text, as messages, or as a prompt of messages with chosen and rejected."""
    columns = source.columns
    if kind == "text":
        return {"text": record.text(columns.text or "text")}
    said = _conversation(record, source)
    if kind == "preferences":
        answers = {
            name: _answer(record, column or name, columns, said)
            for name, column in (("chosen", columns.chosen), ("rejected", columns.rejected))
        }
        if not said:
            said = _shared(record, columns)
        return {"prompt": said, **answers}
    if columns.response:
        said.append({"role": "assistant", "content": record.text(columns.response)})
    return {"messages": said}


def _conversation(record: Record, source: Source) -> list[dict[str, Any]]:
    """All that stands before the answer in a column of its own, or the whole conversation."""
    columns = source.columns
    system = record.values.get(columns.system) if columns.system else None
    said = [{"role": "system", "content": system or source.system}] if system or source.system else list[dict[str, Any]]()
    if columns.messages:
        turns = [_turn(record, turn, columns, columns.messages) for turn in _listed(record, columns.messages)]
        return [*(said if turns[:1] and turns[0]["role"] != "system" else []), *turns]
    for asked, answered in record.values.get(columns.history or "") or []:
        said += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    if columns.prompt:
        query = record.values.get(columns.query) if columns.query else None
        text = columns.joint.join(part for part in (record.text(columns.prompt), query) if part)
        said.append({"role": "user", "content": text})
    return said


def _listed(record: Record, column: str) -> list[Any]:
    found = record.values.get(column)
    if not isinstance(found, list):
        raise record.error(
            column, "expected a list of turns" if column in record.values else f"is missing; this row has {', '.join(record.values)}"
        )
    return found


def _turn(record: Record, turn: Any, columns: Columns, column: str) -> dict[str, Any]:
    if not isinstance(turn, dict) or columns.role not in turn or columns.content not in turn:
        raise record.error(column, f"expected turns with '{columns.role}' and '{columns.content}'")
    role, text = str(turn[columns.role]), record.as_text(turn[columns.content], column)
    role = columns.roles.get(role, ROLES.get(role, role))
    if role == CALL:
        return {"role": "assistant", "content": None, "tool_calls": calls(record, text, column)}
    return {"role": role, "content": text}


def _answer(record: Record, column: str, columns: Columns, said: list[dict[str, Any]]) -> str:
    """A response: text, a turn, or a conversation that ends with it."""
    value = record.values.get(column)
    if isinstance(value, list) and value:
        value = value[-1]
    if not isinstance(value, dict):
        return record.text(column)
    turn = _turn(record, value, columns, column)
    if turn["content"] is None:
        raise record.error(column, "an answer that calls a function is not read yet; preferences are between texts")
    return turn["content"]


def _shared(record: Record, columns: Columns) -> list[dict[str, Any]]:
    """The prompt of two conversations: what stands before their last turns."""
    column = columns.chosen or "chosen"
    return [_turn(record, turn, columns, column) for turn in _listed(record, column)[:-1]]


def as_lines(found: Iterator[dict[str, Any]]) -> tuple[str, int]:
    """JSON Lines, and how many."""
    lines = [json.dumps(one, ensure_ascii=False) for one in found]
    return "\n".join(lines) + "\n", len(lines)


def counted(sources: list[Source]) -> int | None:
    """Rows of all sources; None where one of them lies on the hub."""
    if any(source.path is None for source in sources):
        return None
    return sum(sum(1 for _ in islice(records(source.path), source.first)) for source in sources if source.path)


def without_unused(columns: Columns, path: Path | None) -> Columns:
    """A column that the file doesn't have is no column: peers name more of them than rows have."""
    if path is None:
        return columns
    there = next(records(path)).values
    gone = {name: None for name in ("query", "system", "history") if getattr(columns, name) not in (None, *there)}
    return replace(columns, **gone)
