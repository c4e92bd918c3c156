"""What a stage leaves behind: a directory whose `artifact.json`, written last, says that it is whole and what it was made from."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from tutelage.core.errors import UserError
from tutelage.core.files import write_atomic

SCHEMA = 1
FILE = "artifact.json"
STAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def now() -> str:
    """Wall-clock time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A finished stage."""

    stage: str
    """Its name in the recipe."""
    hash: str
    """Identity of settings, parents, inputs and revision; hexadecimal."""
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """All of them, defaults included, as plain values."""
    parents: Mapping[str, str] = field(default_factory=dict[str, str])
    """{stage: hash} of the artifacts it was made from."""
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    """{input: hash} of the data it was made from."""
    revision: int = 1
    """The stage's declared revision; another one makes the artifact stale."""
    code: str = ""
    """Hash of the code that made it; reported, not obeyed."""
    cost: Mapping[str, float] = field(default_factory=dict[str, float])
    """tokens, seconds, tokens_per_s, peak_rss (bytes)."""
    results: Mapping[str, Any] = field(default_factory=dict[str, Any])
    created: str = field(default_factory=now)
    path: Path = field(default=Path(), compare=False)
    """Where it lies now; not stored, so a run directory can be moved."""


def folder(stage: str, hash: str) -> str:
    """`ppo-0123456789ab`. Raises UserError for a stage name that is no file name."""
    if not STAGE.fullmatch(stage):
        raise UserError(f"stage '{stage}': a stage's name is made of letters, digits, '_', '-' and '.', and starts with a letter or digit")
    return f"{stage}-{hash[:12]}"


def write(artifact: Artifact, path: Path) -> None:
    """Declare the directory `path` whole. Raises Interrupted."""
    plain = {item.name: getattr(artifact, item.name) for item in fields(artifact) if item.name != "path"}
    write_atomic(path / FILE, json.dumps({"schema": SCHEMA, **plain}, ensure_ascii=False, indent=1) + "\n")


def read(path: Path) -> Artifact | None:
    """The artifact in a directory, or None where it isn't whole. Raises UserError for a newer schema or a damaged file."""
    if not (path / FILE).is_file():
        return None
    plain = read_json(path / FILE, SCHEMA)
    names = {item.name for item in fields(Artifact)} - {"path"}
    try:
        return Artifact(**{name: value for name, value in plain.items() if name in names}, path=path)
    except TypeError as error:
        raise UserError(f"{path / FILE}: not an artifact ({error}); delete {path} and run the stage again") from None


def read_json(path: Path, schema: int) -> dict[str, Any]:
    """An object written by us. Raises UserError where it is damaged or was written by a newer release."""
    try:
        plain: object = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path}: broken JSON ({error}); this file is written by Tutelage, restore it from a copy") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if not isinstance(plain, dict) or not isinstance(found := cast(dict[str, Any], plain).get("schema"), int):
        raise UserError(f"{path}: holds no 'schema'; it was not written by Tutelage")
    if found > schema:
        raise UserError(f"{path}: written by a newer Tutelage (schema {found}; this one reads up to {schema}); upgrade to open it")
    return cast(dict[str, Any], plain)
