"""What can go wrong between here and a hub, each said in one sentence with what to do about it."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from urllib.parse import urlsplit

from tutelage.core.errors import Interrupted, UserError
from tutelage.core.settings import closest
from tutelage.models.hub.name import HubName


def host(endpoint: str) -> str:
    """`huggingface.co`, as people know it."""
    return urlsplit(endpoint).netloc or endpoint


@contextmanager
def said(name: HubName, place: str, endpoint: str, files: Iterable[str] = ()) -> Iterator[None]:
    """Within, faults of the hub's client become UserErrors that begin with `place`; a full disk becomes Interrupted. `files` are those
    that are being fetched."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, XetDownloadError

    try:
        yield
    except HFValidationError as fault:
        raise UserError(f"{place}: there is no folder {name.repository}, and it is no hub id such as Qwen/Qwen3-8B") from fault
    except XetDownloadError as fault:
        raise UserError(f"{place}: {_incomplete(fault, name, endpoint, files)}") from fault
    except HfHubHTTPError as fault:
        raise UserError(f"{place}: {_refused(fault, name, endpoint)}") from fault
    except LocalEntryNotFoundError as fault:
        if isinstance(fault.__cause__, HfHubHTTPError):
            raise UserError(f"{place}: {_refused(fault.__cause__, name, endpoint)}") from fault
        raise UserError(f"{place}: {unreachable(name, endpoint, fault.__cause__ or fault)}") from fault
    except _no_connection() as fault:
        raise UserError(f"{place}: {unreachable(name, endpoint, fault)}") from fault
    except OSError as fault:
        if fault.errno is not None:
            full = "free the disk" if fault.errno == errno.ENOSPC else "see to the cache's folder (HF_HOME)"
            raise Interrupted(f"{name} can't be written into the cache ({fault}); {full} and run again") from fault
        raise UserError(f"{place}: {_incomplete(fault, name, endpoint, files)}") from fault


def _incomplete(fault: Exception, name: HubName, endpoint: str, files: Iterable[str]) -> str:
    """A file whose end didn't come; huggingface_hub has thrown the rest away."""
    cut = next((file for file in files if file in str(fault)), "a file")
    return f"{cut} of {name} came incomplete from {host(endpoint)}, and was not kept; run again"


def unreachable(name: HubName, endpoint: str, why: BaseException) -> str:
    """Nobody answers there."""
    return (
        f"{host(endpoint)} can't be reached ({type(why).__name__}); where {name.repository} is in the cache already, go on with "
        f"--offline; else bring it there with `{download(name)}` where there is a network, or give a folder"
    )


def download(name: HubName) -> str:
    """The command of huggingface_hub that brings it."""
    return f"hf download {name.repository}" + ("" if name.revision == "main" else f" --revision {name.revision}")


def _refused(fault: Exception, name: HubName, endpoint: str) -> str:
    """What an answer means that is none."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    assert isinstance(fault, HfHubHTTPError)
    status, where = fault.response.status_code, host(endpoint)
    page, token = f"{endpoint}/{name.repository}", get_token()
    if isinstance(fault, GatedRepoError):
        if token:
            return f"{name.repository} is gated, and the account of this HF_TOKEN has no access yet; ask for it at {page}"
        return f"{name.repository} is gated: accept its licence at {page}, then set HF_TOKEN to a token of that account"
    if isinstance(fault, RevisionNotFoundError):
        return f"{name.repository} has no revision '{name.revision}'{closest(name.revision, _revisions(name, endpoint))}"
    if isinstance(fault, RepositoryNotFoundError):
        own = "this HF_TOKEN may not read it" if token else "it is private (set HF_TOKEN)"
        return f"there is no folder {name.repository}, and {where} has no model of that name, or {own}"
    if status == 401:
        return f"{where} doesn't accept this HF_TOKEN; make a new one at {endpoint}/settings/tokens"
    if status == 403:
        return f"{where} doesn't let this HF_TOKEN read {name.repository}; give the token that right at {endpoint}/settings/tokens"
    if status == 429:
        return f"{where} has had too many questions from here; wait some minutes, or set HF_TOKEN"
    return f"{where} answered {status} for {name.repository}; try again later, or with --offline where it is in the cache already"


def _revisions(name: HubName, endpoint: str) -> list[str]:
    """Branches and tags, for a suggestion; none where the hub doesn't tell them either."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        found = HfApi(endpoint=endpoint).list_repo_refs(name.repository)
    except HfHubHTTPError:
        return []
    return [ref.name for ref in (*found.branches, *found.tags)]


def _no_connection() -> tuple[type[BaseException], ...]:
    """Of the HTTP client that huggingface_hub uses: httpx2, or httpx in its releases before 2."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    clients = [import_module(client) for client in ("httpx2", "httpx") if find_spec(client)]
    return (OfflineModeIsEnabled, *(client.TransportError for client in clients))
