"""A run is a directory: one recipe, its manifest, its journal, and an artifact per finished stage. One process at a time.

    <run>/manifest.json            recipe, which artifact of each stage is current, what was decided once; replaced atomically
    <run>/journal.jsonl            what cannot be replayed, and what happened; append-only, synced
    <run>/run.lock                 flock of the process at work, and its pid
    <run>/artifacts/<stage>-<hash12>/              a finished stage: `artifact.json` was written last
    <run>/artifacts/.building-<stage>-<hash12>/    one under way; it survives a kill, and the stage resumes in it

A stage builds in `building(...)`; `finish` syncs everything, writes `artifact.json`, renames. A kill between the last two is
mended at the next `open`: so an artifact is whole or isn't there. A user's mistake that only work can find (weights that aren't
whole, say) leaves nothing behind either: a run that was made for it and holds no work yet is removed.
"""

import copy
import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from tutelage.core import artifact as artifacts
from tutelage.core.artifact import Artifact, now, read_json
from tutelage.core.errors import UserError
from tutelage.core.files import JsonLines, Row, sync_directory, sync_tree, write_atomic, writing

SCHEMA = 1
MANIFEST, JOURNAL, LOCK, ARTIFACTS = "manifest.json", "journal.jsonl", "run.lock", "artifacts"
BUILDING, REPLACED = ".building-", ".replaced-"


class Run:
    """An open run directory. `Run.open` holds its lock until `close` (or the end of the process, or of a `with`); `Run.view` only reads."""

    def __init__(self, path: Path, manifest: dict[str, Any], lock: int | None) -> None:
        self.path, self._manifest, self._lock = path, manifest, lock
        self._new = False
        self._journal = JsonLines(path / JOURNAL)

    @classmethod
    def open(cls, path: Path | str, recipe: str = "", recipe_hash: str = "", create: bool = False) -> "Run":
        """Open a run for work; with `create`, make it where there is none yet. An empty `recipe` opens any.

        Raises UserError, before anything is written, when the directory is another recipe's, in use, not a run, or written by a
        newer release; Interrupted when it can't be written.
        """
        path = Path(path)
        _checked(path, recipe, create)
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
            lock = _locked(path)
        try:
            found = _checked(path, recipe, create)
            run = cls(path, found or _fresh(recipe), lock)
            with writing(path):
                (path / ARTIFACTS).mkdir(exist_ok=True)
                run._mend()
            run._new = found is None
            if found is None or (recipe_hash and recipe_hash != found.get("recipe_hash")):
                run.update(recipe_hash=recipe_hash)
        except BaseException:
            os.close(lock)
            raise
        return run

    @classmethod
    def view(cls, path: Path | str) -> "Run":
        """Open a run for reading only: takes no lock, so it also works beside a process at work. Raises UserError where there is none."""
        manifest = _checked(Path(path), "", create=False)
        assert manifest is not None
        return cls(Path(path), manifest, None)

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, UserError) and self._new and not self._holds_work():
            self._remove()
        self.close()

    @property
    def manifest(self) -> dict[str, Any]:
        """A copy; change it with `update`."""
        return copy.deepcopy(self._manifest)

    def update(self, **fields: Any) -> None:
        """Replace fields of the manifest, all at once or (Interrupted) none."""
        self._at_work()
        manifest = {**self._manifest, **fields}
        write_atomic(self.path / MANIFEST, json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")
        self._manifest = json.loads(json.dumps(manifest))

    def journal(self, event: Mapping[str, Any]) -> None:
        """Append one event, synced before this returns; `at` (UTC) is added. Raises Interrupted."""
        self._at_work()
        self._journal.append([{"at": now(), **event}])

    def events(self) -> list[Row]:
        return self._journal.read()

    def find(self, stage: str, hash: str) -> Artifact | None:
        """The finished artifact of a stage with this hash, current or not."""
        found = artifacts.read(self.path / ARTIFACTS / artifacts.folder(stage, hash))
        return found if found and found.hash == hash else None

    def building(self, stage: str, hash: str) -> Path:
        """The directory in which a stage is being made: what an earlier, killed attempt left in it is still there."""
        self._at_work()
        path = self.under_way(stage, hash)
        with writing(path):
            path.mkdir(exist_ok=True)
        return path

    def under_way(self, stage: str, hash: str) -> Path:
        """Where `building` makes that directory."""
        return self.path / ARTIFACTS / (BUILDING + artifacts.folder(stage, hash))

    def begun(self, stage: str) -> list[Path]:
        """Such directories of a stage, at whatever address."""
        return sorted((self.path / ARTIFACTS).glob(f"{BUILDING}{stage}-*"))

    def finish(self, artifact: Artifact) -> Artifact:
        """Turn what lies in `building(...)` into the artifact, and make it the stage's current one.

        An artifact of the same hash is replaced. Raises Interrupted; everything built so far then stays where it was.
        """
        path = self.building(artifact.stage, artifact.hash)
        with writing(path):
            sync_tree(path)
        artifacts.write(artifact, path)
        with writing(path):
            final = self._place(path)
        made = replace(artifact, path=final)
        self.use(made)
        return made

    def use(self, artifact: Artifact) -> None:
        """Make an artifact the current one of its stage (after settings went back to what they were, say)."""
        if self.current().get(artifact.stage) != artifact.hash:
            self.update(current={**self.current(), artifact.stage: artifact.hash})

    def current(self) -> dict[str, str]:
        """{stage: hash}."""
        return dict(self._manifest["current"])

    def artifacts(self) -> list[Artifact]:
        """All finished ones, current or not, by name."""
        folders = sorted(path for path in (self.path / ARTIFACTS).glob("*") if not path.name.startswith("."))
        return [found for found in map(artifacts.read, folders) if found]

    def _at_work(self) -> None:
        if self._lock is None:
            raise RuntimeError(f"{self.path} was opened for reading or is closed; use Run.open to change it")

    def _holds_work(self) -> bool:
        """Is there more than was written before the first stage began to work?"""
        return (self.path / JOURNAL).exists() or any(path.is_file() for path in (self.path / ARTIFACTS).rglob("*"))

    def _remove(self) -> None:
        """All of it, but for a directory that can't be (another file system's root, say): that stays, empty as it was."""
        for entry in self.path.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        with suppress(OSError):
            self.path.rmdir()

    def _place(self, path: Path) -> Path:
        """Rename a whole directory to its final name, replacing what has it."""
        final = path.with_name(path.name.removeprefix(BUILDING))
        old = path.with_name(REPLACED + final.name)
        if final.exists():
            os.rename(final, old)
        os.rename(path, final)
        sync_directory(final.parent)
        shutil.rmtree(old, ignore_errors=True)
        return final

    def _mend(self) -> None:
        """Finish what a kill cut short inside `finish`: rename directories that are whole, remove replaced ones."""
        for path in (self.path / ARTIFACTS).glob(f"{BUILDING}*"):
            if artifacts.read(path):
                self._place(path)
        for path in (self.path / ARTIFACTS).glob(f"{REPLACED}*"):
            shutil.rmtree(path)


def _fresh(recipe: str) -> dict[str, Any]:
    return {"schema": SCHEMA, "recipe": recipe, "recipe_hash": "", "created": now(), "current": {}}


def _checked(path: Path, recipe: str, create: bool) -> dict[str, Any] | None:
    """The manifest of a run that may be opened; None where a new run may be made. Writes nothing."""
    if not (path / MANIFEST).exists():
        _may_be_made(path, create)
        return None
    manifest = read_json(path / MANIFEST, SCHEMA)
    if recipe and manifest.get("recipe") != recipe:
        raise UserError(f"{path}: made by the recipe '{manifest.get('recipe')}', not '{recipe}'; give another directory with --out")
    return manifest


def _may_be_made(path: Path, create: bool) -> None:
    if not create:
        raise UserError(f"{path}: no run here ({MANIFEST} is missing); give the directory of a run")
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: a file, not a directory; give a new or empty directory with --out")
    ours = {LOCK, ARTIFACTS, f".{MANIFEST}.partial"}  # left by a kill before the first manifest
    if path.exists() and any(entry.name not in ours for entry in path.iterdir()):
        raise UserError(f"{path}: not empty and not a run ({MANIFEST} is missing); give a new or empty directory with --out")


def _locked(path: Path) -> int:
    """A handle that holds the lock; the system drops it when the process ends, however it ends."""
    handle = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 20, 0).decode().strip() or "of unknown id"
        os.close(handle)
        raise UserError(f"{path}: in use by process {holder}; wait for it to end, or give another directory with --out") from None
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
    except OSError:
        os.close(handle)
        raise
    return handle
