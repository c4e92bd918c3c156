"""Which files of a repository are needed, and whether they are whole.

Config, generation config, tokenizer, chat template, and safetensors: never pickles, never code, never another framework's copy of the
weights. A safetensors file says in its header how long it is, so a cut one is known by its size (github.com/huggingface/safetensors,
"Format"): 8 bytes of the header's length, the header (JSON), then the tensors up to the largest of its `data_offsets`.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tutelage.core.errors import UserError
from tutelage.models.config import CONFIG

ONE, INDEX = "model.safetensors", "model.safetensors.index.json"
SMALL = (
    CONFIG,
    "generation_config.json",
    INDEX,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "score.json",
)
"""All but the weights, as far as a repository has them."""
POINTER = b"version https://git-lfs"
"""How a file begins that git wrote in place of a large one."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".h5")


def check_kind(files: Iterable[str], name: str) -> None:
    """Raise UserError for a repository that holds no model we can begin with, saying what it holds instead."""
    there = set(files)
    if CONFIG not in there:
        adapter = "only an adapter; name the model that it belongs on" if "adapter_config.json" in there else f"no {CONFIG}"
        raise UserError(f"{name} holds {adapter}")
    if not there & {ONE, INDEX}:
        pickles = next((file for file in sorted(there) if file.endswith(PICKLES)), None)
        held = f"its weights only as {pickles}, which is not read (it may run code)" if pickles else "no weights in safetensors"
        raise UserError(f"{name} holds {held}; give a revision or a copy of it with {ONE}")
    if "tokenizer.json" not in there:
        raise UserError(f"{name} holds no tokenizer.json; give a copy in which the fast tokenizer is saved beside the weights")


def weights_of(folder: Path, name: str) -> list[str]:
    """The files of weights that a folder with its index needs, as transformers chooses them: one file before many. Raises UserError for a
    broken index."""
    if (folder / ONE).is_file() or not (folder / INDEX).is_file():
        return [ONE]
    try:
        files = json.loads((folder / INDEX).read_bytes())["weight_map"].values()
        return sorted({str(Path(file)) for file in files})
    except (ValueError, KeyError, AttributeError, TypeError) as problem:
        raise UserError(f"{name}: {INDEX} says of no weights in which file they are ({problem!r}); fetch it again") from problem


def check_undamaged(folder: Path) -> None:
    """Raise UserError for a file of weights in a folder of the user's that is cut off, or stands for one that was never fetched. Missing
    ones are let pass: a plan needs none."""
    for file in weights_of(folder, str(folder)):
        if (folder / file).exists() and (wrong := fault(folder / file)):
            raise UserError(f"{folder / file} {wrong}; copy it again")


def check_whole(folder: Path) -> None:
    """Raise UserError for a folder of the user's that lacks something which training needs, or holds it damaged."""
    check_kind((path.name for path in folder.iterdir()), str(folder))
    check_undamaged(folder)
    for file in weights_of(folder, str(folder)):
        if not (folder / file).exists():
            raise UserError(f"{folder / file} is missing, and {INDEX} says that weights are in it; copy it too")


def lengths(path: Path) -> tuple[int, int]:
    """(bytes that a safetensors file has, bytes that its header says). The header says 0 where it is cut or none itself."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8:
            return size, 0
        try:
            header: Mapping[str, Any] = json.loads(file.read(length))
            ends = [tensor["data_offsets"][1] for key, tensor in header.items() if key != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return size, 0
    return size, 8 + length + max(ends, default=0)


def fault(path: Path, size: int | None = None) -> str:
    """What is wrong with a file of weights, in words; empty where its size is `size` (if known) and what its header says."""
    if not path.is_file():
        return "is not there"
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            return "is not the weights but git-lfs's note of where they are (git lfs pull fetches them)"
    has, says = lengths(path)
    if size is not None and has != size:
        return f"has {has:,} bytes where the hub's has {size:,}"
    if not says:
        return "has no whole header"
    return "" if has == says else f"has {has:,} bytes where its header says {says:,}"


def sha256(path: Path) -> str:
    """Of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_room(size: int, folder: Path, place: str) -> None:
    """Raise UserError where `size` bytes have no room beside what is in `folder`, which need not exist yet."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise UserError(f"{place}: {amount(size)} don't fit into {folder}, where {amount(free)} are free; set HF_HOME to another disk")


def amount(size: int) -> str:
    """Bytes as people and hubs count them: 16.4 GB."""
    value, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{size} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
