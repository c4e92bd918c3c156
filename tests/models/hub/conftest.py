"""The stand-in hub, reached by huggingface_hub itself; and a model of a few hundred numbers to put on it, in two shards."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.hub import Hub, serving


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty hub, an empty cache, no token."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TUTELAGE_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with serving() as at:
        monkeypatch.setattr(constants, "ENDPOINT", at.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", at.address + "/{repo_id}/resolve/{revision}/{filename}")
        yield at


def tensors(**named: int) -> bytes:
    """A safetensors file of float32 zeros, so many of each name."""
    header, end = {}, 0
    for name, count in named.items():
        header[name] = {"dtype": "F32", "shape": [count], "data_offsets": [end, end + 4 * count]}
        end += 4 * count
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def sharded(**more: bytes) -> dict[str, bytes]:
    """A repository with two shards, and much that nobody needs."""
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    index = {"metadata": {}, "weight_map": {"a": first, "b": second}}
    files = {
        "config.json": b'{"model_type": "llama", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}',
        "generation_config.json": b"{}",
        "model.safetensors.index.json": json.dumps(index).encode(),
        first: tensors(a=300),
        second: tensors(b=200),
        "tokenizer.json": b'{"version": "1.0"}',
        "tokenizer_config.json": b'{"eos_token": "e"}',
        "chat_template.jinja": b"{{ messages }}",
        "consolidated.safetensors": tensors(a=300, b=200),
        "pytorch_model.bin": b"a pickle",
        "modeling_own.py": b"raise SystemExit",
        "README.md": b"# A model",
        "original/params.json": b"{}",
    }
    return {**files, **more}
