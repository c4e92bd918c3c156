"""A stand-in for huggingface.co on this machine: what its own client (huggingface_hub) asks, answered as the hub answers it.

Revisions and files (`/api/models/ID/revision/REV`, `/tree/REV`, `/refs`), files (`/ID/resolve/REV/FILE`): small ones directly, large ones
through a redirect to another host with their SHA-256 in `X-Linked-Etag`; ranges; and refusals by `X-Error-Code`. Kept from the client's
source, huggingface_hub 2.4.0: `utils/_http.py` (hf_raise_for_status), `file_download.py`, `hf_api.py`.
"""

import hashlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

LARGE = (".safetensors", "tokenizer.json")
TOKEN = "hf_may_read"


@dataclass
class Repository:
    """Commits of files, by hash; branches and tags; who may read."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    private: bool = False


@dataclass
class Hub:
    """What it holds, what it was asked, and how it misbehaves."""

    address: str = ""
    elsewhere: str = ""
    """The host of large files."""
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, path, token)."""
    cut: dict[str, int] = field(default_factory=dict)
    """File: bytes after which the connection ends."""
    swapped: dict[str, bytes] = field(default_factory=dict)
    """File: other content than its hash says."""
    status: int = 0
    """What everything is answered with, where it isn't 0."""

    def push(self, name: str, files: Path | Mapping[str, bytes], branch: str = "main") -> str:
        """Add a commit with these files on a branch; its hash."""
        held = {p.name: p.read_bytes() for p in sorted(files.iterdir())} if isinstance(files, Path) else dict(files)
        repository = self.repositories.setdefault(name, Repository())
        seen = repr([(file, sha256(data)) for file, data in sorted(held.items())]) + str(len(repository.commits))
        commit = hashlib.sha1(seen.encode()).hexdigest()
        repository.commits[commit], repository.refs[branch] = held, commit
        return commit

    def fetched(self) -> list[str]:
        """Names of the files whose content was asked for, in order."""
        return [path.rsplit("/", 1)[-1] for method, path, _ in self.asked if method == "GET" and "/api/" not in path]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def blob(data: bytes) -> str:
    """git's own hash of a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def refusal(status: int, code: str, message: str) -> JSONResponse:
    headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    return JSONResponse({"error": message}, status, headers)


def entry(file: str, data: bytes) -> dict[str, object]:
    """A file in a list, as `/api/models` names its fields."""
    lfs = {"sha256": sha256(data), "size": len(data), "pointerSize": 134} if file.endswith(LARGE) else None
    return {"rfilename": file, "size": len(data), "blobId": blob(data), **({"lfs": lfs} if lfs else {})}


def branch_of(file: str, data: bytes) -> dict[str, object]:
    """The same, as `/tree` does."""
    lfs = {"oid": sha256(data), "size": len(data), "pointerSize": 134}
    return {"type": "file", "path": file, "size": len(data), "oid": blob(data), **({"lfs": lfs} if file.endswith(LARGE) else {})}


def application(hub: Hub) -> FastAPI:
    app = FastAPI()

    def found(name: str, revision: str, request: Request, files: bool) -> tuple[str, dict[str, bytes]] | JSONResponse:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        repository = hub.repositories.get(name)
        if hub.status:
            return refusal(hub.status, "", "as the test asked")
        if token and token not in (TOKEN, "hf_without_access"):
            return refusal(401, "", "Invalid credentials in Authorization header")
        if repository is None or (repository.private and token != TOKEN):
            return refusal(404 if token else 401, "RepoNotFound", "Repository not found")
        if repository.gated and files and token != TOKEN:
            return refusal(403 if token else 401, "GatedRepo", f"Access to model {name} is restricted.")
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            return refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit, repository.commits[commit]

    @app.middleware("http")
    async def listen(request: Request, call_next):
        hub.asked.append((request.method, request.url.path, request.headers.get("authorization", "").removeprefix("Bearer ")))
        return await call_next(request)

    @app.get("/api/models/{owner}/{model}/revision/{revision}")
    def revision(owner: str, model: str, revision: str, request: Request):
        return info(f"{owner}/{model}", revision, request)

    @app.get("/api/models/{owner}/{model}")
    def main(owner: str, model: str, request: Request):
        return info(f"{owner}/{model}", "main", request)

    def info(name: str, revision: str, request: Request):
        held = found(name, revision, request, files=False)
        if isinstance(held, JSONResponse):
            return held
        repository = hub.repositories[name]
        state = {"private": repository.private, "gated": "manual" if repository.gated else False, "disabled": False, "downloads": 1}
        return {"id": name, "modelId": name, "sha": held[0], **state, "siblings": [entry(f, data) for f, data in held[1].items()]}

    @app.get("/api/models/{owner}/{model}/tree/{revision}")
    def tree(owner: str, model: str, revision: str, request: Request):
        held = found(f"{owner}/{model}", revision, request, files=False)
        return held if isinstance(held, JSONResponse) else [branch_of(f, data) for f, data in held[1].items()]

    @app.get("/api/models/{owner}/{model}/refs")
    def refs(owner: str, model: str):
        repository = hub.repositories[f"{owner}/{model}"]
        branches = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": c} for n, c in repository.refs.items()]
        return {"branches": branches, "tags": [], "converts": []}

    @app.api_route("/{owner}/{model}/resolve/{revision}/{file:path}", methods=["GET", "HEAD"])
    def resolve(owner: str, model: str, revision: str, file: str, request: Request):
        held = found(f"{owner}/{model}", revision, request, files=True)
        if isinstance(held, JSONResponse):
            return held
        commit, files = held
        if file not in files:
            return refusal(404, "EntryNotFound", "Entry not found")
        data, headers = files[file], {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if file.endswith(LARGE):
            linked = {"X-Linked-Etag": f'"{sha256(data)}"', "X-Linked-Size": str(len(data))}
            return RedirectResponse(f"{hub.elsewhere}/large/{sha256(data)}/{file}", 302, {**headers, **linked})
        return content(file, data, request, {**headers, "ETag": f'"{blob(data)}"'})

    @app.get("/large/{digest}/{file:path}")
    def large(digest: str, file: str, request: Request):
        every = (data for r in hub.repositories.values() for files in r.commits.values() for data in files.values())
        return content(file, next(data for data in every if sha256(data) == digest), request, {})

    def content(file: str, data: bytes, request: Request, headers: dict[str, str]):
        data, asked = hub.swapped.get(file, data), request.headers.get("range", "")
        if asked:
            first = int(asked.removeprefix("bytes=").split("-")[0])
            headers = {**headers, "Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
            data = data[first:]
        sent = data[: hub.cut.get(file, len(data))]
        return Response(b"" if request.method == "HEAD" else sent, 206 if asked else 200, {**headers, "Content-Length": str(len(sent))})

    return app


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub at a free port. `127.0.0.1` is the hub, `localhost` the host of large files: to the client another one."""
    hub = Hub()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(application(hub), log_level="error", lifespan="off"))
        port = free.getsockname()[1]
        hub.address, hub.elsewhere = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [free]}, daemon=True)
        thread.start()
        until = time.monotonic() + 60
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        yield hub
        server.should_exit = True
        thread.join(10)
