"""Checkpoints: whole or absent, from which a killed run goes on to the same weights, bit for bit where the number of processes is the same.

A checkpoint holds the trained weights and what the optimizer remembers of each, by name (`Engine.state`), the source's state and the
number of the next step. Nothing random is in it: randomness is addressed, not advanced (core/randomness.py).

    checkpoint.pt            of whole weights, written by the first process
    checkpoint-<step>/       of sharded weights: torch.distributed.checkpoint's files, each process its share, and `rest.pt`

Either is read by any number of processes, whose weights may be whole or sharded: each takes the part that it holds.
"""

import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tutelage.core.errors import UserError
from tutelage.core.files import sync_tree, write_atomic, writing
from tutelage.engine.engine import Engine
from tutelage.models.shards import shard_of

SCHEMA = 2
FILE, FOLDERS, REST = "checkpoint.pt", "checkpoint-", "rest.pt"


def keep(folder: Path, step: int, engine: Engine, source: dict[str, Any]) -> None:
    """Write the state before step `step` into `folder`; every process calls this. A kill leaves the last checkpoint as it was. Raises
    Interrupted on a full disk."""
    if engine.policy.sharded:
        _save_shares(folder, step, engine, source)
    elif engine.ranks.rank == 0:
        save(folder / FILE, step, engine.state(), source)
        _forget(folder, folder / FILE)


def take(folder: Path, engine: Engine) -> tuple[int, dict[str, Any]] | None:
    """Bring `engine` where the last checkpoint in `folder` was; the next step and the source's state, or None where there is none."""
    found = {int(path.name.removeprefix(FOLDERS)): path for path in folder.glob(f"{FOLDERS}*") if (path / REST).exists()}
    whole = load(folder / FILE)
    if whole is None and not found:
        return None
    last = max(found, default=-1)
    if whole is not None and whole["step"] >= last:
        engine.restore({name: _share(engine, name, x) for name, x in whole["engine"].items()})
        return int(whole["step"]), whole["source"]
    engine.restore(_shares(found[last], engine))
    return last, torch.load(found[last] / REST, weights_only=True)["source"]


def drop(folder: Path) -> None:
    """The stage is whole: it needs no checkpoint any more."""
    _forget(folder, None)


def save(path: Path, step: int, engine: Mapping[str, Tensor], source: dict[str, Any]) -> None:
    """Write a checkpoint of whole weights. Raises Interrupted on a full disk."""
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA, "step": step, "engine": dict(engine), "source": source}, buffer)
    write_atomic(path, buffer.getvalue())


def load(path: Path) -> dict[str, Any] | None:
    """A checkpoint of whole weights, or None where there is none. UserError for one of another version."""
    if not path.exists():
        return None
    found = torch.load(path, map_location="cpu", weights_only=True)
    if found["schema"] != SCHEMA:
        raise UserError(
            f"{path}: a checkpoint of schema {found['schema']}, this Tutelage reads {SCHEMA}; delete it, and the stage begins anew"
        )
    return found


def _save_shares(folder: Path, step: int, engine: Engine, source: dict[str, Any]) -> None:
    from torch.distributed.checkpoint.state_dict_saver import save as save_shares

    partial, first = folder / f".{FOLDERS}{step}.partial", engine.ranks.rank == 0
    if first:
        shutil.rmtree(partial, ignore_errors=True)
    engine.ranks.wait()
    placed = {name: _placed(engine, name, x) for name, x in engine.state().items()}
    with writing(partial):
        save_shares(placed, checkpoint_id=partial)
        if first:
            torch.save({"schema": SCHEMA, "step": step, "source": source}, partial / REST)
            sync_tree(partial)
            partial.rename(folder / f"{FOLDERS}{step}")
    if first:
        _forget(folder, folder / f"{FOLDERS}{step}")
    engine.ranks.wait()


def _shares(path: Path, engine: Engine) -> dict[str, Tensor]:
    """What `Engine.state` gave, as far as this process holds it; read from all files that have a part of it."""
    from torch.distributed.checkpoint.filesystem import FileSystemReader
    from torch.distributed.checkpoint.state_dict_loader import load as load_shares

    reader = FileSystemReader(path)
    told: dict[str, Any] = dict(reader.read_metadata().state_dict_metadata)
    empty = {name: torch.empty(told[name].size, dtype=told[name].properties.dtype) for name in told}
    found = {name: _share(engine, name, x).clone() for name, x in empty.items()}
    load_shares({name: _placed(engine, name, x) for name, x in found.items()}, storage_reader=reader, no_dist=True)
    return found


def _stepped(engine: Engine, name: str) -> Tensor:
    """What the optimizer steps, by the name of what it remembers of it."""
    return dict(engine.named())[name.rpartition(".")[0]]


def _share(engine: Engine, name: str, whole: Tensor) -> Tensor:
    """This process's part of a whole weight, or of what is remembered of it (a count of steps has no parts)."""
    shard = shard_of(_stepped(engine, name))
    return whole if shard is None or whole.shape != shard.shape else shard.own(whole)


def _placed(engine: Engine, name: str, own: Tensor) -> Tensor:
    """As torch.distributed.checkpoint knows it."""
    p = _stepped(engine, name)
    shard = shard_of(p)
    return own if shard is None or own.shape != p.shape else shard.placed(own)


def _forget(folder: Path, but: Path | None) -> None:
    """Earlier checkpoints, and what a kill left of one."""
    for path in (folder / FILE, *folder.glob(f"{FOLDERS}*"), *folder.glob(f".{FOLDERS}*")):
        if path != but:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
