"""A stage of a run as a folder for others: plain transformers, a peft adapter, or one file for llama.cpp, each with a model card.

Everything is written beside the target and renamed at the end, so a target is whole or isn't there. What a form can't say exactly is
refused: a prefix has no place in weights, a reward model none in llama.cpp.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tutelage.core.artifact import Artifact
from tutelage.core.errors import Interrupted, UserError
from tutelage.core.files import sync_directory, sync_tree, writing
from tutelage.core.run import Run
from tutelage.models import adapters, casting
from tutelage.models.config import plain_config
from tutelage.models.weights import PREFIX
from tutelage.recipes import card, licenses, lineage
from tutelage.recipes.wanted import Exported, Form, Wanted, amount

MARK = "tutelage.json"
"""Written into every export: what it was made from. A folder without it is never replaced."""
SPARE = 64 * 2**20
"""Bytes kept free beside the weights: tokenizer, card, the file system's own."""


def export(opened: Run, stage: str, target: Path, wanted: Wanted) -> Exported:
    """Write `stage` of the run into the new folder `target`. Raises UserError, before anything is written, for what can't be exported as
    asked; Interrupted when the disk refuses, and then nothing is left."""
    found = lineage.origin(opened, stage)
    artifact = found.artifact
    check(artifact, wanted)
    parts = licenses.ingredients(opened, found)
    if wanted.commercial:
        licenses.check_commercial(parts, stage)
    check_target(target, wanted.force)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        with writing(partial):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.mkdir()
        notes = WRITERS[wanted.form](opened, artifact, partial, wanted)
        told = () if wanted.form == "adapter" else tuple(notes)  # an adapter's tells a folder of whoever made it
        text = card.write(opened, found, parts, card.Shape(wanted.form, wanted.dtype, base_of(opened, artifact, wanted), told))
        with writing(target):
            (partial / "README.md").write_text(text)
            (partial / MARK).write_text(json.dumps(mark(artifact, wanted), indent=1) + "\n")
            sync_tree(partial)
            place(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Exported(target, {path.name: path.stat().st_size for path in sorted(target.iterdir())}, tuple(notes))


def check(artifact: Artifact, wanted: Wanted) -> None:
    """Raises UserError where the stage has nothing of that form."""
    stage, model = artifact.stage, artifact.path / "model"
    if not (model / "config.json").is_file():
        raise UserError(f"stage {stage} ({artifact.method}) left no model; name a stage that trains one")
    if wanted.dtype == "q8_0" and wanted.form != "gguf":
        raise UserError(f"--dtype q8_0 is of --as gguf only; {wanted.form} takes bf16, f16, f32 or saved")
    if wanted.base and wanted.form != "adapter":
        raise UserError(f"--base is of --as adapter only; {wanted.form} stands alone")
    if wanted.form == "adapter":
        if not (artifact.path / "adapter" / adapters.SETTINGS).is_file():
            raise UserError(f"stage {stage} trained no adapter but all its weights; export it with --as plain")
    elif PREFIX in plain_config(model):
        raise UserError(f"stage {stage} learnt a prefix, which can't be merged into weights; export it with --as adapter")
    if wanted.form == "gguf" and (model / "score.json").is_file():
        raise UserError(f"stage {stage} is a reward model, which gives scores, not words; llama.cpp has no place for it: use --as plain")


def check_target(target: Path, force: bool) -> None:
    """Raises UserError for a target that is there, unless it may be replaced."""
    if not target.exists() and not target.is_symlink():
        return
    if not force:
        raise UserError(f"{target}: already there; name another folder with --to, or replace an earlier export with --force")
    ours = target.is_dir() and not target.is_symlink() and ((target / MARK).is_file() or not any(target.iterdir()))
    if not ours:
        raise UserError(f"{target}: not an export of Tutelage's ({MARK} is missing), so --force doesn't replace it; name another folder")


def place(partial: Path, target: Path) -> None:
    """Rename a whole folder to its name, in place of what has it."""
    old = target.with_name(f".{target.name}.replaced-{os.getpid()}")
    if target.exists():
        os.rename(target, old)
    try:
        os.rename(partial, target)
    except OSError:
        if old.exists():
            os.rename(old, target)
        raise
    sync_directory(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def mark(artifact: Artifact, wanted: Wanted) -> dict[str, Any]:
    """What stands in tutelage.json."""
    return {"schema": 1, "stage": artifact.stage, "hash": artifact.hash, "as": wanted.form, "dtype": wanted.dtype}


def room(needed: int, where: Path) -> None:
    """Raises Interrupted, before anything is written, where the disk has no room."""
    free = shutil.disk_usage(where).free
    if needed + SPARE > free:
        raise Interrupted(f"{where.parent}: {amount(needed)} are needed there, {amount(free)} are free; free some, or name another disk")


def base_of(opened: Run, artifact: Artifact, wanted: Wanted) -> str:
    """What an adapter belongs on: as given, else the stage's own beginning, as a hub id or a folder that is there."""
    if wanted.base:
        return wanted.base
    init = str(artifact.settings.get("init", "model"))
    if init in artifact.parents:
        parent = opened.find(init, artifact.parents[init])
        return str((parent.path / "model").resolve()) if parent else ""
    return opened.manifest.get("sources", {}).get(f"model:{artifact.inputs.get('model', '')}", {}).get("given", "")


def write_plain(opened: Run, artifact: Artifact, folder: Path, wanted: Wanted) -> list[str]:
    """The transformers folder. An adapter was merged into it when the stage ended."""
    model = artifact.path / "model"
    room(casting.size(model, wanted.dtype), folder)
    casting.cast(model, folder, wanted.dtype, wanted.shard_size)
    merged = (artifact.path / "adapter").is_dir()
    if merged:
        return ["the stage's adapter is merged into these weights"]
    return ["the stage trained no adapter, so nothing was to be merged: these are its weights"] if wanted.form == "merged" else []


def write_adapter(opened: Run, artifact: Artifact, folder: Path, wanted: Wanted) -> list[str]:
    """The peft folder, with the name of a base that its user can load."""
    source, base = artifact.path / "adapter", base_of(opened, artifact, wanted)
    if not base:
        raise UserError(f"the run does not note what {artifact.stage} began with; name it with --base (a hub id or a folder)")
    with writing(folder):
        for path in sorted(source.iterdir()):
            if path.is_file() and path.name != "README.md":
                shutil.copyfile(path, folder / path.name)
        settings = json.loads((folder / adapters.SETTINGS).read_text())
        settings["base_model_name_or_path"] = base
        (folder / adapters.SETTINGS).write_text(json.dumps(settings, indent=2) + "\n")
    if not wanted.base and Path(base).is_dir():
        return [f"its base is a folder of this machine ({base}); where you publish that too, name it with --base"]
    return []


def write_gguf(opened: Run, artifact: Artifact, folder: Path, wanted: Wanted) -> list[str]:
    """One file for llama.cpp."""
    try:
        from tutelage.models.llamacpp import write  # an extra: few need it
    except ModuleNotFoundError as absent:
        raise UserError("--as gguf needs llama.cpp's own writer: pip install 'tutelage[gguf]'") from absent
    if wanted.dtype == "saved":
        raise UserError("--dtype saved is of transformers' folders; gguf takes bf16, f16, f32 or q8_0")
    model = artifact.path / "model"
    room(casting.size(model, "f16" if wanted.dtype == "q8_0" else wanted.dtype), folder)
    return list(write.gguf(model, folder / f"{artifact.stage}-{wanted.dtype}.gguf", wanted.dtype))


WRITERS: dict[Form, Callable[[Run, Artifact, Path, Wanted], list[str]]] = {
    "plain": write_plain,
    "merged": write_plain,
    "adapter": write_adapter,
    "gguf": write_gguf,
}
