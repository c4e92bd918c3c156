"""A revision of a repository, pinned to its commit: config and tokenizer at once (a plan needs no more), weights before they are learnt
from.

    look_up -> Snapshot (commit and the small files) -> complete (weights, and everything checked)

A commit is git's hash over every file's own hash, so it says exactly what the model is, and nobody hashes 16 GB of weights at each start.
It says nothing about the disk: so a file is checked against the hub's SHA-256 once, when it is fetched, and for its size whenever a run
begins. The run directory keeps the commit with the files' sizes; the branch may move on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tutelage.core.errors import UserError
from tutelage.core.offline import offline
from tutelage.models.hub import client
from tutelage.models.hub.client import Entry
from tutelage.models.hub.faults import download, host
from tutelage.models.hub.files import CONFIG, INDEX, ONE, SMALL, amount, check_kind, check_room, fault, sha256, weights_of
from tutelage.models.hub.name import HubName

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pin:
    """What a run directory keeps of its model."""

    repository: str
    revision: str
    """As the recipe named it."""
    commit: str
    """What that was when the run began."""
    files: dict[str, int] = field(default_factory=dict[str, int])
    """Bytes of each file that is used."""


@dataclass(frozen=True)
class Snapshot:
    """A revision whose small files are in the cache."""

    name: HubName
    commit: str
    folder: Path
    files: Mapping[str, Entry]
    """Those that are used, weights too."""
    place: str = "model"
    """What error messages begin with."""

    @property
    def pin(self) -> Pin:
        """For the manifest."""
        sizes = {file: entry.size for file, entry in sorted(self.files.items())}
        return Pin(self.name.repository, self.name.revision, self.commit, sizes)


def look_up(name: HubName, pinned: Pin | None, place: str, say: Say) -> Snapshot:
    """The revision, or the commit at which an earlier start of this run pinned it, with config and tokenizer in the cache. `say` is told
    what is fetched, before it is, and whether the branch has moved. Raises UserError where that can't be, Interrupted for a full disk."""
    if pinned is not None:
        return _pinned(name, pinned, place, say)
    if offline():
        return _from_cache(name, place, say)
    told = client.listing(name, place)
    check_kind(told.files, f"{place}: {name}")
    small = {file: told.files[file] for file in SMALL if file in told.files}
    folder = _fetched(name, told.commit, small, "config and tokenizer", place, say)
    found = Snapshot(name, told.commit, folder, small, place)
    return replace(found, files={**small, **_weights(found, told.files)})


def complete(found: Snapshot, say: Say) -> Path:
    """The folder with everything that is used, weights too, each file of its right size. Raises UserError for what is not whole and can't
    be fetched, Interrupted for a full disk."""
    weights = {file: entry for file, entry in found.files.items() if file.endswith(".safetensors")}
    broken = {file: wrong for file, entry in weights.items() if (wrong := _fault(found, file, entry))}
    if not broken:
        return found.folder
    if offline():
        file, wrong = next(iter(broken.items()))
        bring = download(found.name) + (" --force-download" if (found.folder / file).exists() else "")
        raise UserError(f"{found.place}: {file} of {found.name} {wrong} in the cache; `{bring}` brings it, or leave out --offline")
    for file, wrong in broken.items():
        if (found.folder / file).exists():
            say(f"{file} of {found.name} {wrong} in the cache, so it is fetched again")
    missing = _with_hashes(found.name, found.commit, {file: weights[file] for file in broken}, found.place)
    again = any((found.folder / file).exists() for file in broken)
    folder = _fetched(found.name, found.commit, missing, "weights", found.place, say, again)
    for file, entry in missing.items():
        if wrong := _fault(found, file, entry):
            raise UserError(f"{found.place}: {file} of {found.name} {wrong}, as {host(client.endpoint())} has it; give another revision")
    return folder


def _pinned(name: HubName, pinned: Pin, place: str, say: Say) -> Snapshot:
    """What the run began with, whatever the branch is now."""
    files = {file: Entry(size) for file, size in pinned.files.items()}
    small = {file: entry for file, entry in files.items() if not file.endswith(".safetensors")}
    where = {file: client.cached(name, file, pinned.commit) for file in small}
    if not offline() and not name.fixed:
        _tell_if_moved(name, pinned, place, say)
    lost = [file for file, path in where.items() if path is None or path.stat().st_size != small[file].size]
    if not lost:
        return Snapshot(name, pinned.commit, _folder(name, pinned.commit), files, place)
    if offline():
        at = HubName(name.repository, pinned.commit)
        raise UserError(f"{place}: {lost[0]} of {at} is not whole in the cache; `{download(at)}` brings it, or leave out --offline")
    small, cut = _with_hashes(name, pinned.commit, small, place), any(where[file] for file in lost)
    return Snapshot(name, pinned.commit, _fetched(name, pinned.commit, small, "config and tokenizer", place, say, cut), files, place)


def _tell_if_moved(name: HubName, pinned: Pin, place: str, say: Say) -> None:
    """A note, and no more: the run goes on with what it began with, also where nobody answers."""
    try:
        now = client.now(name, place)
    except UserError as silent:
        say(f"{silent} (this run goes on with commit {pinned.commit[:12]}, as it began)")
        return
    if now != pinned.commit:
        say(
            f"{name.revision} of {name.repository} has moved to {now[:12]} since this run began; it goes on with {pinned.commit[:12]} "
            f"(model={name.repository}@{now}, or another --out, takes the new one)"
        )


def _from_cache(name: HubName, place: str, say: Say) -> Snapshot:
    """The copy that the cache has, as far as can be told without the hub's list of files."""
    config = client.cached(name, CONFIG)
    if config is None:
        raise UserError(
            f"{place}: there is no folder {name.repository}, nor is {name} in the hub's cache here (--offline); "
            f"`{download(name)}` brings it where there is a network"
        )
    folder = config.parent
    files = {file: Entry((folder / file).stat().st_size) for file in SMALL if (folder / file).is_file()}
    for file in ("tokenizer.json", *weights_of(folder, f"{place}: {name}")):
        if not (folder / file).is_file():
            raise UserError(f"{place}: the cache's copy of {name} lacks {file} (--offline); `{download(name)}` brings it")
        files[file] = Entry((folder / file).stat().st_size)
    say(f"offline: {name} is the cache's copy, commit {folder.name[:12]}")
    return Snapshot(name, folder.name, folder, files, place)


def _weights(found: Snapshot, there: Mapping[str, Entry]) -> dict[str, Entry]:
    """The files of weights with their sizes, from the hub's list. Raises UserError for a shard that the repository doesn't have."""
    wanted = [ONE] if ONE in there else weights_of(found.folder, f"{found.place}: {found.name}")
    lost = next((file for file in wanted if file not in there), None)
    if lost is not None:
        raise UserError(f"{found.place}: {INDEX} of {found.name} names {lost}, which is not in the repository; give another revision")
    return {file: there[file] for file in wanted}


def _fetched(name: HubName, commit: str, files: Mapping[str, Entry], what: str, place: str, say: Say, again: bool = False) -> Path:
    """Files of a commit in the cache; those that are missing are announced, fetched and held to the hub's hash. The config comes last:
    where the cache has it, it has what belongs to it."""
    missing = {file: entry for file, entry in files.items() if again or client.cached(name, file, commit) is None}
    if missing:
        size, count = sum(entry.size for entry in missing.values()), f"{len(missing)} file{'s' if len(missing) > 1 else ''}"
        say(f"from {host(client.endpoint())}: {name.repository} at {name.revision}, commit {commit[:12]}: {what}, {count}, {amount(size)}")
        check_room(size, client.cache(), place)
        if rest := [file for file in missing if file != CONFIG]:
            _verify(name, client.fetch(name, commit, rest, place, again), missing, rest, place)
    return client.fetch(name, commit, [CONFIG], place) if CONFIG in missing else _folder(name, commit)


def _folder(name: HubName, commit: str) -> Path:
    config = client.cached(name, CONFIG, commit)
    assert config is not None
    return config.parent


def _with_hashes(name: HubName, commit: str, files: Mapping[str, Entry], place: str) -> dict[str, Entry]:
    """Files that a run directory knows by their sizes, with the hub's hashes of that commit."""
    if all(entry.sha256 for entry in files.values()):
        return dict(files)
    there = client.listing(HubName(name.repository, commit), place).files
    return {file: there.get(file, entry) for file, entry in files.items()}


def _verify(name: HubName, folder: Path, entries: Mapping[str, Entry], files: list[str], place: str) -> None:
    """Hold large files to the hub's hash. One that differs leaves the cache, or the next run would take it for whole."""
    for file in files:
        wanted, path = entries[file].sha256, folder / file
        if wanted is not None and sha256(path) != wanted:
            path.resolve().unlink()
            path.unlink(missing_ok=True)
            raise UserError(f"{place}: {file} of {name} came with another content than its SHA-256 says, and was removed; run again")


def _fault(found: Snapshot, file: str, entry: Entry) -> str:
    return fault(found.folder / file, entry.size)
