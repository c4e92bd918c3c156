"""The four things that are asked of huggingface_hub: what a revision holds, a file's place in the cache, files, and where `main` is.

HF_HOME, HF_TOKEN and HF_ENDPOINT are its own settings and mean here what they mean everywhere.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tutelage.models.hub.faults import said
from tutelage.models.hub.name import HubName


@dataclass(frozen=True)
class Entry:
    """A file of a revision."""

    size: int
    """Bytes."""
    sha256: str | None = None
    """Of large files; the hub names small ones by git's own hash."""


@dataclass(frozen=True)
class Listing:
    """What a revision was when it was asked for."""

    commit: str
    files: Mapping[str, Entry]


def endpoint() -> str:
    """The hub's address: HF_ENDPOINT, or huggingface.co."""
    from huggingface_hub import constants

    return constants.ENDPOINT


def cache() -> Path:
    """The folder of the hub's cache: `hub` in HF_HOME."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def listing(name: HubName, place: str) -> Listing:
    """Commit and files of a revision. Raises UserError where there is none, or nobody answers."""
    from huggingface_hub import HfApi

    with said(name, place, endpoint()):
        told = HfApi(endpoint=endpoint()).model_info(name.repository, revision=name.revision, files_metadata=True)
    assert told.sha is not None
    files = {f.rfilename: Entry(f.size or 0, f.lfs.sha256 if f.lfs else None) for f in told.siblings or ()}
    return Listing(told.sha, files)


def now(name: HubName, place: str) -> str:
    """The commit at which a branch or tag stands. Raises UserError as `listing` does."""
    from huggingface_hub import HfApi

    with said(name, place, endpoint()):
        told = HfApi(endpoint=endpoint()).model_info(name.repository, revision=name.revision)
    assert told.sha is not None
    return told.sha


def cached(name: HubName, file: str, commit: str = "") -> Path | None:
    """Where the cache has a file, at a commit or at what the revision was last known to be; None where it doesn't. Asks nobody."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name.repository, file, cache_dir=cache(), revision=commit or name.revision)
    return Path(found) if isinstance(found, str) else None


def fetch(name: HubName, commit: str, files: Collection[str], place: str, again: bool = False) -> Path:
    """Bring files of a commit into the cache; `again`: also those that are there. Returns the folder in which they stand together.
    Raises UserError, Interrupted where the disk is full."""
    with said(name, place, endpoint(), files):
        # By the name of the branch, so that the cache knows where it stood; it may have moved since it was asked.
        folder = _snapshot(name.repository, name.revision, files, again)
        return folder if folder.name == commit else _snapshot(name.repository, commit, files, again)


def _snapshot(repository: str, revision: str, files: Collection[str], again: bool) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            repository,
            revision=revision,
            cache_dir=cache(),
            endpoint=endpoint(),
            allow_patterns=sorted(files),
            force_download=again,
        )
    )
