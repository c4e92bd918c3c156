"""A model's folder once more, in another dtype and in shards.

Tensors go from safetensors to safetensors, one shard at a time, and no network is built: the largest shard is all that memory holds,
names stay what transformers gave them, and a reward model's head is one tensor more. Rounding is torch's, so the copy computes what the
original does when plain transformers loads it in that dtype.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_state_dict_into_shards_factory
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tutelage.core.errors import Interrupted, UserError
from tutelage.models.config import plain_config
from tutelage.models.hub.files import weights_of
from tutelage.models.weights import WEIGHTS

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}
NAMES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""Floating types as safetensors writes them; whatever else a folder holds keeps its type."""
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True)
class Stored:
    """A tensor in a file, not read yet."""

    file: Path
    name: str
    shape: tuple[int, ...]
    kind: str
    """Its type as safetensors writes it: F32, BF16, ..."""

    @property
    def numbers(self) -> int:
        """How many numbers it has."""
        return torch.Size(self.shape).numel()


def stored(folder: Path) -> dict[str, Stored]:
    """Every tensor of a model's folder, by name. Raises UserError for a missing or damaged shard, or weights in four or eight bits."""
    config = plain_config(folder)
    if "quantization_config" in config:
        raise UserError(f"{folder}: these weights are quantized; export the stage that they were quantized for, which saves its own")
    found: dict[str, Stored] = {}
    for file in weights_of(folder, str(folder)):
        try:
            with safe_open(folder / file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118  (no mapping)
                    part = opened.get_slice(name)
                    found[name] = Stored(folder / file, name, tuple(part.get_shape()), part.get_dtype())
        except (OSError, SafetensorError) as problem:
            raise UserError(f"{folder / file}: the weights can't be read ({str(problem).splitlines()[0]})") from problem
    return found


def read(parts: list[Stored]) -> Iterator[tuple[Stored, Tensor]]:
    """The tensors, one by one; each file is opened once."""
    with ExitStack() as stack:
        opened: dict[Path, Any] = {}
        for part in parts:
            if part.file not in opened:
                opened[part.file] = stack.enter_context(safe_open(part.file, framework="pt"))
            yield part, opened[part.file].get_tensor(part.name)


def size(folder: Path, dtype: str) -> int:
    """Bytes that the weights of `folder` take in `dtype` (a name of DTYPES, or `saved`)."""
    target = DTYPES.get(dtype)
    return sum(
        part.numbers * (target.itemsize if target is not None and part.kind in NAMES else SIZES.get(part.kind, 1))
        for part in stored(folder).values()
    )


def cast(folder: Path, target: Path, dtype: str, shard_size: str) -> None:
    """Write the model in `folder` into the new folder `target` with its floating tensors in `dtype` (a name of DTYPES; `saved`: as they
    are), in shards of at most `shard_size` ("5GB"); config, tokenizer and all other files come along. `target` is not whole before this
    returns. Raises UserError for a broken folder or size, Interrupted when the disk refuses.
    """
    parts, wanted = stored(folder), DTYPES.get(dtype)
    try:
        plan = split_state_dict_into_shards_factory(
            parts,
            get_storage_size=lambda part: part.numbers * (wanted.itemsize if wanted and part.kind in NAMES else SIZES.get(part.kind, 1)),
            filename_pattern="model{suffix}.safetensors",
            max_shard_size=shard_size,
        )
    except ValueError as problem:
        raise UserError(f"--shard-size {shard_size}: {problem}; write it as 5GB or 500MB") from problem
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.suffix != ".safetensors" and path.name not in (WEIGHTS[1], "config.json", "README.md"):
                shutil.copyfile(path, target / path.name)
        for file, names in plan.filename_to_tensors.items():
            shard = {part.name: _rounded(x, part, wanted) for part, x in read([parts[name] for name in names])}
            save_file(shard, target / file, metadata={"format": "pt"})
        if plan.is_sharded:
            index = {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}
            (target / WEIGHTS[1]).write_text(json.dumps(index, indent=2) + "\n")
        (target / "config.json").write_text(_config(folder, wanted))
    except (OSError, SafetensorError) as problem:
        raise Interrupted(f"{target}: the model could not be written ({problem}); free the disk and run again") from problem


def _rounded(x: Tensor, part: Stored, wanted: torch.dtype | None) -> Tensor:
    return x.to(wanted) if wanted is not None and part.kind in NAMES else x


def _config(folder: Path, wanted: torch.dtype | None) -> str:
    """config.json, with the type that the weights now have."""
    config = plain_config(folder)
    if wanted is not None:
        config.pop("torch_dtype", None)
        config["dtype"] = str(wanted).removeprefix("torch.")
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"
