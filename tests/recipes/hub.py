"""A server that answers as the hub's upload API does: repositories, which files go where, large files by hash, commits."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Hub:
    """What lies on the server."""

    address: str = ""
    token: str = "hf_right"
    repositories: dict[str, bool] = field(default_factory=dict)
    """Private or not, by OWNER/NAME."""
    files: dict[str, bytes] = field(default_factory=dict)
    """By OWNER/NAME/PATH."""
    large: dict[str, bytes] = field(default_factory=dict)
    """By SHA-256."""
    heard: list[str] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub of its own while the block runs."""
    hub = Hub()

    class Answer(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            name = self.path.removeprefix("/api/models/").split("?")[0]
            if name in hub.repositories:
                return self.say({"id": name, "modelId": name, "private": hub.repositories[name], "siblings": [], "tags": []})
            return self.say({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

        def do_POST(self) -> None:
            body, path = self.body(), urlsplit(self.path).path
            hub.heard.append(path)
            if self.headers["Authorization"] != f"Bearer {hub.token}":
                return self.say({"error": "no"}, 403)
            if path == "/api/repos/create":
                told = json.loads(body)
                name = f"{told['organization']}/{told['name']}"
                private = told["visibility"] == "private" if "visibility" in told else told["private"]  # by the client's version
                hub.repositories[name] = private
                return self.say({"url": f"{hub.address}/{name}"})
            if "/preupload/" in path:
                modes = [("lfs" if f["path"].endswith(".safetensors") else "regular", f["path"]) for f in json.loads(body)["files"]]
                return self.say({"files": [{"path": p, "uploadMode": mode, "shouldIgnore": False, "oid": None} for mode, p in modes]})
            if path == "/api/validate-yaml":
                return self.say({"errors": [], "warnings": []})
            if path.endswith("/info/lfs/objects/batch"):
                wanted = json.loads(body)["objects"]
                actions = [{**o, "actions": {"upload": {"href": f"{hub.address}/large/{o['oid']}", "header": {}}}} for o in wanted]
                return self.say({"transfer": "basic", "objects": actions})
            assert "/commit/main" in path, path
            return self.commit(path.removeprefix("/api/models/").removesuffix("/commit/main"), body)

        def do_PUT(self) -> None:
            content = self.body()
            assert hashlib.sha256(content).hexdigest() == self.path.rsplit("/", 1)[1]
            hub.large[self.path.rsplit("/", 1)[1]] = content
            self.say({})

        def commit(self, name: str, body: bytes) -> None:
            for line in map(json.loads, body.splitlines()):
                told = line["value"]
                if line["key"] == "file":
                    hub.files[f"{name}/{told['path']}"] = base64.b64decode(told["content"])
                if line["key"] == "lfsFile":
                    hub.files[f"{name}/{told['path']}"] = hub.large[told["oid"]]
            self.say({"commitUrl": f"{hub.address}/{name}/commit/{'0' * 40}", "commitOid": "0" * 40, "hookOutput": ""})

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def say(self, told: object, code: int = 200, headers: dict[str, str] | None = None) -> None:
            content = json.dumps(told).encode()
            self.send_response(code)
            for key, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
