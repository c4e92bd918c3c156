"""Real servers of models, where they are at hand, each in a process of its own: vLLM and llama.cpp's.

A command is taken from the environment (TUTELAGE_VLLM, TUTELAGE_LLAMA_SERVER) or found on PATH; without one, a test skips.
"""

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch

from tests.processes import free_port
from tests.recipes.small_run import TEXTS
from tutelage.models import create, weights
from tutelage.models.create import Dimensions
from tutelage.models.tokenizer import bpe

NAMED = {"vllm": "TUTELAGE_VLLM", "llama-server": "TUTELAGE_LLAMA_SERVER"}
BEGINS = 600
"""Seconds that a server may take to begin; vLLM's imports take most of them."""


def small_model(folder: Path, halves: bool = True) -> Path:
    """A Llama that both servers take (heads of 64), with bytes for tokens. `halves`: it says halves of letters too."""
    tokenizer = bpe(TEXTS * 4, 320)
    made = create.new(Dimensions(width=128, layers=2, heads=2, ffn=256, context=2048, spread=0.1), tokenizer, 1).to(torch.float32)
    if not halves:
        _hushed(made, [n for n in range(len(tokenizer)) if "\ufffd" in tokenizer.decode([n])])
    weights.save(made, tokenizer, folder)
    return folder


@torch.no_grad()
def _hushed(made: Any, never: Sequence[int]) -> None:
    """A place of the stream that no layer writes to is 3 for all tokens but these, so by the tied head they are never said."""
    assert made.config.tie_word_embeddings
    made.get_input_embeddings().weight[:, 0] = 3.0
    made.get_input_embeddings().weight[list(never), 0] = -3.0
    for layer in made.model.layers:
        layer.self_attn.o_proj.weight[0] = 0.0
        layer.mlp.down_proj.weight[0] = 0.0


def command_of(program: str) -> list[str]:
    """How `program` is started here; skips the test where it isn't."""
    found = shlex.split(os.environ.get(NAMED[program], "")) or [shutil.which(program) or ""]
    if not found[0]:
        pytest.skip(f"no {program} is here (on PATH, or as {NAMED[program]})")
    return found


class Running:
    """A server as a test holds it; `port` is its own."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.command, self.environment, self.log = [*command, "--port", str(self.port)], environment, log
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            shared = {**os.environ, "OMP_NUM_THREADS": "1", **self.environment}
            self.process = subprocess.Popen(self.command, env=shared, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + BEGINS
        while not self._there():
            assert time.monotonic() < until and self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
            time.sleep(0.5)

    def _there(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/models", timeout=10).is_success
        except httpx2.TransportError:
            return False

    def kill(self) -> None:
        """At once, with the processes that it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)


@contextmanager
def vllm(model: Path, log: Path) -> Iterator[Running]:
    """A vLLM with `model` as `tiny`, which takes adapters of rank 8 at most."""
    taken = ["--enable-lora", "--max-lora-rank", "8", "--dtype", "float32", "--enforce-eager", "--max-model-len", "2048"]
    command = [*command_of("vllm"), "serve", str(model), "--served-model-name", "tiny", "--host", "127.0.0.1", *taken]
    known = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    yield from _for_a_while(Running(command, known, log))


@contextmanager
def llama(file: Path, log: Path) -> Iterator[Running]:
    """llama.cpp's server with a GGUF file as `tiny`, its cache in float32."""
    exact = ["-ctk", "f32", "-ctv", "f32", "-fa", "off", "-c", "8192", "-np", "4", "-t", "1"]
    yield from _for_a_while(Running([*command_of("llama-server"), "-m", str(file), "--alias", "tiny", *exact], {}, log))


def _for_a_while(server: Running) -> Iterator[Running]:
    try:
        yield server
    finally:
        server.kill()
