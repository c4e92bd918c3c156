"""Memory that runs out in the middle of a stage: said with what was foreseen, what was reached and what takes less, and gone on from.

A GPU's runs out as torch.OutOfMemoryError, the processor's as a RuntimeError of torch's allocator or a MemoryError. (A system that has
promised more than it has kills the process instead, with exit code 137; that is a kill like any other.)

How work is cut to fit a machine changes no gradient beyond rounding (docs/invariants.md: split). So a stage that ran out, and whose work is
then cut otherwise, goes on from its last checkpoint, although a changed setting gives it another address.
"""

import json
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tutelage.core.errors import Interrupted
from tutelage.core.files import write_atomic
from tutelage.core.run import Run
from tutelage.models import device
from tutelage.recipes import cost
from tutelage.recipes.decisions import available_bytes
from tutelage.recipes.forecast.network import asked_of, memory_of, network_of
from tutelage.recipes.forecast.smaller import fitting
from tutelage.recipes.recipe import Recipe, Step
from tutelage.recipes.sources import digest

MARK = "ran_out.json"
"""In the folder of a stage that ran out: its address but for CUT, and what `machine` was."""
CUT = ("micro_tokens", "checkpoint_every", "shard", "recompute", "offload")
"""Settings of `machine` that say how work is cut."""
MORE = 1.1
"""A stage that ran out is taken to need so many times what there is: how much more it would have wanted, nobody knows."""


@contextmanager
def told(recipe: Recipe, step: Step, uncut: str, folder: Path) -> Generator[None]:
    """Within, a stage works in `folder`; memory that runs out is noted there and raised as Interrupted. What filled it is let go."""
    device.forget_peak()
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        held = device.peak_bytes() or cost.peak_bytes()
        sentence = said(recipe, step, held, held + available_bytes())
        traceback.clear_frames(error.__traceback__)
        if folder.is_dir():  # a process on another machine has none
            write_atomic(folder / MARK, json.dumps({"uncut": uncut, "machine": _cut(step)}))
        raise Interrupted(sentence) from error
    (folder / MARK).unlink(missing_ok=True)


def ran_out(error: Exception) -> bool:
    """Is this what is raised when there is no more memory?"""
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in str(error)


def said(recipe: Recipe, step: Step, held: int, there: int) -> str:
    """The sentence: the bytes that were foreseen, those that were `held` at the peak of all that are `there`, settings that would fit."""
    network = network_of(recipe.model)
    foreseen = memory_of(step, network) if network else 0.0
    ways = fitting(recipe, step, MORE * max(foreseen, there), there)
    first = f"about {_gib(foreseen)} were foreseen, " if foreseen else ""
    advice = f"any of these would fit: {', '.join(ways)}" if ways else "no smaller setting would fit"
    onward = "; with its work cut otherwise (machine) the stage goes on from its last checkpoint" if ".machine." in advice else ""
    return f"stage {step.name} ran out of memory: {first}{_gib(held)} of {_gib(there)} were held at the peak; {advice}{onward}"


def uncut(step: Step, *more: Any) -> str:
    """What a stage makes, but for how its work is cut; `more`: what its address is made of beside its settings."""
    machine = {name: value for name, value in asked_of(step).items() if name not in CUT}
    return digest([step.name, step.method, {**step.settings, "machine": machine}, step.stage.revision, *more])


def carry_over(opened: Run, step: Step, hash: str, uncut: str, say: Callable[[str], None]) -> None:
    """Where the stage was begun with its work cut otherwise and ran out of memory, take what it has made to its new address."""
    place = opened.under_way(step.name, hash)
    if place.exists():
        return
    for folder in opened.begun(step.name):
        mark = folder / MARK
        was = json.loads(mark.read_text()) if mark.exists() else {}
        if was.get("uncut") == uncut:
            folder.rename(place)
            opened.journal({"stage": step.name, "event": "goes on with its work cut otherwise", "was": was["machine"], "is": _cut(step)})
            say(f"{step.name}: ran out of memory with {_changed(was['machine'], step)}; goes on from there")
            return


def _cut(step: Step) -> dict[str, Any]:
    return {name: value for name, value in asked_of(step).items() if name in CUT}


def _changed(was: dict[str, Any], step: Step) -> str:
    """`micro_tokens 4096 (now 1024)`."""
    return ", ".join(f"{name} {was.get(name)} (now {value})" for name, value in _cut(step).items() if was.get(name) != value)


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"
