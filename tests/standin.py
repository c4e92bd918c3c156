"""A stand-in for a server of models: it answers over HTTP as vLLM and llama.cpp do, in a process of its own, from one of our tiny models.

    python -m tests.standin PORT [--model FOLDER] [--key KEY]

It is no vLLM: no batching, no prefix cache, nothing fast; what it shares with them is the form of requests and answers. That of vLLM was
taken from vLLM 0.32.0 as it ran (tests/rollouts/test_real_servers.py holds it to that where a vLLM is at hand), refusals included. Without
a model it is a judge only, by rule. It can be told to fail (POST /fault) and tells what it was asked (GET /seen).
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[1]
LARGEST = 8
"""Rank of the adapters that it takes, at most."""
SUM = re.compile(r"What is (\d+) \+ (\d+)\?")
RESPONSE = re.compile(r"<response ([A-I])>\n(.*?)\n</response \1>", re.S)


def verdict(text: str, way: str) -> str:
    """The rule of the judge: the longer response is better; or whatever stands first; or which adds up; or nothing that can be read."""
    found = RESPONSE.findall(text)
    if way == "mute":
        return "Both have their merits."
    if way == "truth":
        a, b = SUM.findall(text)[0]
        right = [name for name, body in found if str(int(a) + int(b)) in re.findall(r"\d+", body)]
        return f"Verdict: {right[0] if len(right) == 1 else 'tie'}"
    order = [name for name, _ in found] if way == "first" else [n for n, body in sorted(found, key=lambda r: (-len(r[1]), r[1]))]
    return f"Let me think.\n\n**Verdict:** {' > '.join(order) if 'orders all' in text else order[0]}"


class Server:
    """What runs in the process of its own."""

    def __init__(self, model: str | None, key: str | None) -> None:
        self.key, self.faults, self.seen, self.adapters = key, [], [], {}
        self.way, self.lie, self.spoken = "longer", {}, None
        if model:
            self._load(Path(model))

    def _load(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        self.words = AutoTokenizer.from_pretrained(folder)
        self.bare = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def answer(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        if path == "/fault":
            self.faults = list(body.get("faults", []))
            self.way, self.lie = body.get("way", "longer"), body.get("lie", {})
            return 200, {}, {}
        if path == "/seen":
            seen, self.seen = self.seen, []
            return 200, {"seen": seen, "adapters": list(self.adapters)}, {}
        self.seen.append([path, body])
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            return 401, {"error": {"message": f"wrong key {headers.get('authorization', '')!r}"}}, {}
        if self.faults and (fault := self.faults.pop(0)):
            return self._fault(fault)
        return self._right(path, body)

    def _fault(self, fault: Any) -> tuple[int, Any, dict[str, str]]:
        if fault == "die":
            os._exit(1)
        if fault == "slow":
            time.sleep(1.5)
            return 200, {}, {}
        if fault == "garbage":
            return 200, "<html>{", {}
        return int(fault), {"error": {"message": f"told to say {fault}"}}, {"Retry-After": "0.05"}

    def _right(self, path: str, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        if path == "/v1/models":
            return 200, {"object": "list", "data": [{"id": name, "object": "model"} for name in ("tiny", *self.adapters)]}, {}
        if path == "/v1/chat/completions":
            message = {"role": "assistant", "content": verdict(body["messages"][-1]["content"], self.way)}
            usage = {"prompt_tokens": 100, "completion_tokens": 10}
            return 200, {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}, {}
        if path == "/v1/load_lora_adapter" and not self.lie.get("fixed"):
            return self._adapter(body["lora_name"], Path(body["lora_path"]))
        if path == "/v1/unload_lora_adapter":
            if body["lora_name"] not in self.adapters:
                return _refused(404, f"The lora adapter '{body['lora_name']}' cannot be found.", "NotFoundError")
            self.spoken.delete_adapter(body["lora_name"])
            del self.adapters[body["lora_name"]]
            return 200, f"Success: LoRA adapter '{body['lora_name']}' removed successfully.", {}
        if path == "/v1/completions" and body["model"] not in ("tiny", *self.adapters):
            return _refused(404, f"The model `{body['model']}` does not exist. Valid aliases: tiny.", "NotFoundError")
        if path in ("/v1/completions", "/completion"):
            return 200, self._completion(path, body), {}
        return 404, {"detail": "Not Found"}, {}

    def _adapter(self, name: str, path: Path) -> tuple[int, Any, dict[str, str]]:
        if name in self.adapters:
            known = f"The lora adapter '{name}' has already been loaded."
            how = "If you want to load the adapter in place, set 'load_inplace' to True."
            return _refused(400, f"{known} {how}", "InvalidUserInput")
        if not path.is_dir():
            return _refused(404, f"Loading lora {name} failed: No adapter found for {path}", "NotFoundError")
        rank = json.loads((path / "adapter_config.json").read_text())["r"]
        if rank > LARGEST:
            failed = f"Worker failed with error 'LoRA rank {rank} is greater than max_lora_rank {LARGEST}.'"
            why = f"Call to add_lora method failed: {failed}, please check the stack trace above for the root cause"
            return _refused(500, why, "InternalServerError")
        self._load_adapter(name, str(path))
        return 200, f"Success: LoRA adapter '{name}' added successfully.", {}

    def _load_adapter(self, name: str, path: str) -> None:
        import copy

        from peft import PeftModel

        if self.spoken is None:
            self.spoken = PeftModel.from_pretrained(copy.deepcopy(self.bare), path, adapter_name=name).eval()
        else:
            self.spoken.load_adapter(path, name)
        self.adapters[name] = path

    def _completion(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Drawn as our own sampler draws, the numbers from the request's seed, so that equal weights say the same."""
        from tutelage.models.sampler import Sampler, Sampling

        ours, model = path == "/completion", self.bare
        end = int(self.words.eos_token_id) if ours else body["stop_token_ids"][0]
        if body.get("model") in self.adapters:
            model = self.spoken
            model.set_adapter(body["model"])
        longest = body["n_predict" if ours else "max_tokens"]
        (said,) = Sampler(model, end).generate([body["prompt"]], [("server", body["seed"])], Sampling(max_tokens=longest))
        ids, logp = list(said.ids), [x + self.lie.get("logp", 0.0) for x in said.logp]
        read = ids[:-1] if said.finished else ids  # neither of the two spells the end that it stopped at
        text = self.words.decode([(i + self.lie.get("shift", 0)) % len(self.words) for i in read], skip_special_tokens=False)
        if ours:
            probabilities = [] if self.lie.get("bare") else [{"id": i, "logprob": x} for i, x in zip(ids, logp, strict=True)]
            return {
                "tokens": ids,
                "content": text,
                "stop_type": "eos" if said.finished else "limit",
                "completion_probabilities": probabilities,
            }
        numbers = {"tokens": [f"token_id:{i}" for i in ids], "token_logprobs": logp}
        choice = {"text": text, "finish_reason": "stop" if said.finished else "length", "logprobs": numbers, "token_ids": ids}
        choice |= {"prompt_token_ids": body["prompt"]}
        if self.lie.get("bare"):
            choice["logprobs"] = None
        if self.lie.get("letters"):
            del choice["token_ids"]
            numbers["tokens"] = [self.words.decode([i]) for i in ids]
        if self.lie.get("old"):
            del choice["token_ids"]
        return {"model": self.lie.get("model", body["model"]), "choices": [choice]}


def _refused(status: int, why: str, kind: str) -> tuple[int, Any, dict[str, str]]:
    return status, {"error": {"message": why, "type": kind, "code": status}}, {}


def serve(server: Server, port: int) -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Lock

    lock = Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            with lock:
                status, said, more = server.answer(self.path, body, {k.lower(): v for k, v in self.headers.items()})
            data = (said if isinstance(said, str) else json.dumps(said)).encode()
            self.send_response(status)
            for name, value in {**more, "content-length": str(len(data)), "content-type": "application/json"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None: ...

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


class Running:
    """A stand-in in a process of its own, as a test holds it."""

    def __init__(self, *arguments: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = [sys.executable, "-m", "tests.standin", str(self.port), *arguments]
        self.root, self.url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.port}/v1"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, cwd=ROOT)
        until = time.monotonic() + 600
        while True:
            try:
                self.tell()
                return
            except httpx2.TransportError:
                assert time.monotonic() < until and self.process.poll() is None, "the stand-in did not begin"
                time.sleep(0.1)

    def tell(self, **how: Any) -> None:
        """Faults, one per request that comes; a judge's `way`; what it is to `lie` about."""
        httpx2.post(f"{self.root}/fault", json=how, timeout=60)

    def seen(self) -> dict[str, Any]:
        """What it was asked since the last time, and the adapters that it has."""
        return httpx2.get(f"{self.root}/seen", timeout=60).json()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)


@contextmanager
def running(*arguments: str) -> Iterator[Running]:
    """A server for as long as the block."""
    server = Running(*arguments)
    try:
        yield server
    finally:
        server.stop()


if __name__ == "__main__":
    given = argparse.ArgumentParser()
    given.add_argument("port", type=int)
    given.add_argument("--model")
    given.add_argument("--key")
    chosen = given.parse_args()
    serve(Server(chosen.model, chosen.key), chosen.port)
