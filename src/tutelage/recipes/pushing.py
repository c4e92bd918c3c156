"""A folder onto a hub: huggingface_hub's client does it, this asks first where it goes and who will see it.

HF_ENDPOINT names another hub, HF_TOKEN (or `hf auth login`) who uploads. A repository that is there keeps its visibility.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HTTPError,  # pyright: ignore[reportPrivateImportUsage]  (of whichever client this version of the library speaks through)
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import disable_progress_bars

from tutelage.core.errors import Interrupted, UserError
from tutelage.models.hub.name import is_repository


@dataclass(frozen=True)
class Where:
    """A repository, and who will see what is in it."""

    endpoint: str
    repository: str
    exists: bool
    private: bool

    @property
    def host(self) -> str:
        """The hub's, without the rest of its address."""
        return urlsplit(self.endpoint).netloc

    @property
    def state(self) -> str:
        """new and private, there already and public, ..."""
        return f"{'there already' if self.exists else 'new'} and {'private' if self.private else 'public: everyone can read it'}"


def check(repository: str) -> None:
    """Raises UserError for a name that is none, and where nobody could upload, before an hour of work."""
    if not is_repository(repository):
        raise UserError(f"--push {repository}: a repository is written OWNER/NAME")
    if constants.HF_HUB_OFFLINE:
        raise UserError("--push: HF_HUB_OFFLINE is set, so nothing is sent to a hub; unset it to upload")
    if not get_token():
        raise UserError("--push: no token of the hub here; set HF_TOKEN to one that may write, or say `hf auth login`")


def look(repository: str, public: bool) -> Where:
    """What is there now. Reads only."""
    api = HfApi()
    with answered(repository):
        try:
            info = api.model_info(repository)
        except RepositoryNotFoundError:
            return Where(api.endpoint, repository, exists=False, private=not public)
    return Where(api.endpoint, repository, exists=True, private=bool(info.private))


def push(where: Where, folder: Path) -> str:
    """Make the repository where there is none, upload the folder's files as one commit, return its address. Files of other names that
    are there stay."""
    api = HfApi()
    disable_progress_bars()
    with answered(where.repository):
        if not where.exists:
            api.create_repo(where.repository, private=where.private)
        return str(api.upload_folder(repo_id=where.repository, folder_path=folder, commit_message="Upload of tutelage export"))


@contextmanager
def answered(repository: str) -> Iterator[None]:
    """Turns the hub's refusals into sentences."""
    try:
        yield
    except OfflineModeIsEnabled as problem:
        raise UserError("--push: HF_HUB_OFFLINE is set, so nothing is sent to a hub") from problem
    except HfHubHTTPError as problem:
        code = problem.response.status_code if problem.response is not None else 0
        if code in (401, 403):
            raise UserError(f"--push {repository}: the hub refuses this token ({code}); it must be allowed to write there") from problem
        raise Interrupted(
            f"--push {repository}: the hub answered {code or problem}; the export is whole, the same command with --force tries again"
        ) from problem
    except (HTTPError, OSError, RuntimeError) as problem:
        raise Interrupted(
            f"--push {repository}: {str(problem).splitlines()[0]}; the export is whole, the same command with --force tries again"
        ) from problem
