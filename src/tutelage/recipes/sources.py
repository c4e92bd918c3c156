"""Where a recipe's material comes from: files and built-in sources, and the model that everything begins with; each with a hash."""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from tutelage.core.errors import UserError
from tutelage.core.rows import hash_file
from tutelage.core.settings import Plain, closest
from tutelage.feedback.store import Store
from tutelage.models.config import plain_config
from tutelage.models.hub.files import check_undamaged
from tutelage.models.hub.name import HubName, hub_name
from tutelage.models.hub.snapshot import Snapshot

SYNTHETIC = ("text", "demonstrations", "prompts")
SYNTHETIC_REVISION = 4
"""Raised when the built-in world writes something else from the same seed."""
STORES = (".sqlite", ".sqlite3", ".db")
"""Files that are stores of annotations."""


@dataclass(frozen=True)
class New:
    """A model made by the recipe's own first stage."""

    new: Literal["nano", "tiny", "small"]
    """Width x layers: nano 96x2, tiny 192x4 (about 2M parameters), small 384x6."""
    shape: Literal["llama", "gpt2", "qwen3", "gemma3", "mistral"] = "llama"
    """The architecture, as transformers has it."""


@dataclass(frozen=True)
class Model:
    """The recipe's `model`: a new one, a folder in transformers' format, or a hub id, which recipes/base.py turns into a folder."""

    new: New | None = None
    path: Path | None = None
    """The folder; of a hub id, once it was looked up, the commit's in the cache."""
    hub: HubName | None = None
    place: str = "model"
    """File, line and path, for messages."""
    snapshot: Snapshot | None = None
    """Of a hub id that was looked up."""

    @cached_property
    def hash(self) -> str:
        """Of what it is: size and shape, the hub's commit, or the folder's files."""
        if self.new:
            return digest(["new", self.new.new, self.new.shape])
        if self.hub:
            assert self.snapshot, "a hub id is looked up before it is hashed"
            return digest(["hub", self.hub.repository, self.snapshot.commit])
        assert self.path
        names = sorted(p for p in self.path.iterdir() if p.is_file() and p.suffix in (".json", ".safetensors", ".model", ".jinja"))
        return digest([[p.name, hash_file(p)] for p in names])


@dataclass(frozen=True)
class Input:
    """A named input: a file of the user's, or a source of the built-in world (`synthetic:text`)."""

    name: str
    given: str
    """As the recipe writes it."""
    seed: int = 0
    most: int | None = None
    """Rows that are read at most: a rehearsal's (recipes/forecast/miniature.py); None: all."""

    @property
    def synthetic(self) -> str | None:
        """`text` of `synthetic:text`; None for a file."""
        return self.given.removeprefix("synthetic:") if self.given.startswith("synthetic:") else None

    @property
    def path(self) -> Path:
        """The file; only where `synthetic` is None."""
        return Path(self.given).expanduser()

    @cached_property
    def hash(self) -> str:
        """Of the file's content (of a store: of its annotations), or of the source's name, seed and revision."""
        if self.most is not None:
            return digest(["part", replace(self, most=None).hash, self.most])
        if self.synthetic is not None:
            return digest(["synthetic", self.synthetic, self.seed, SYNTHETIC_REVISION])
        if self.path.suffix in STORES:
            return digest(["store", Store(self.path, create=False).hash])
        return hash_file(self.path)


def model_of(given: New | str | None, place: str) -> Model:
    """What `model:` names; the hub isn't asked yet. Raises UserError for a folder that isn't there or holds no model."""
    if given is None:
        raise UserError(f"{place}: needed by this recipe; give it as model=DIR, a folder in transformers' format, or as a hub id")
    if isinstance(given, New):
        return Model(new=given)
    folder = Path(given).expanduser()
    if not folder.is_dir():
        name = hub_name(given)
        if name is None:
            raise UserError(f"{place}: there is no folder {given}, and it is no hub id such as Qwen/Qwen3-8B or Qwen/Qwen3-8B@v1.0")
        return Model(hub=name, place=place)
    if not (folder / "config.json").is_file():
        raise UserError(f"{place}: the folder {given} has no config.json; give a folder that transformers can load")
    plain_config(folder)
    check_undamaged(folder)
    return Model(path=folder)


def check_form(model: Plain, place: str) -> None:
    """Raise UserError for a `model:` that asks for code from a hub, which is never run."""
    if isinstance(model, dict) and ("hub" in model or "trust_remote_code" in model):
        raise UserError(
            f"{place}: give a hub's model by its id alone, Qwen/Qwen3-8B@REVISION; code that comes with a model is never run "
            "(trust_remote_code), so its architecture must be one of transformers' own"
        )


def input_of(name: str, given: str | None, seed: int, place: str) -> Input:
    """A checked input. Raises UserError where it was not given, isn't there, is empty, or names no source."""
    if given is None:
        raise UserError(f"{place}: needed by this recipe; give it as inputs.{name}=PATH")
    source = Input(name, given, seed)
    if source.synthetic is not None:
        if source.synthetic not in SYNTHETIC:
            raise UserError(f"{place}: there is no source '{given}'{closest(given, [f'synthetic:{s}' for s in SYNTHETIC])}")
        return source
    if not source.path.is_file():
        raise UserError(f"{place}: there is no file {given}")
    if source.path.stat().st_size == 0:
        raise UserError(f"{place}: the file {given} is empty")
    return source


def digest(value: object) -> str:
    """SHA-256 of a plain value as canonical JSON, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
