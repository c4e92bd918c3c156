"""Fine-tune a language model, align it to people's judgements, and prove that it got better.

    import tutelage
    outcome = tutelage.run("instructgpt", out="runs/demo", overrides=["model.new=nano"])
    outcome.artifacts["ppo"].path / "model"          # a plain transformers directory

The same words as on the command line; nothing heavy is imported before it is needed.
"""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tutelage.core.progress import Progress
    from tutelage.recipes.plan import Forecast
    from tutelage.recipes.runner import Outcome

# oneDNN keeps a kernel for each shape of a matrix, 1,024 of them, about a megabyte each. Streams differ in length, so most are never
# used again. Read when torch first multiplies; which kernel computes what is not changed by it.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")


def _keep_freed_memory() -> None:
    """glibc gives blocks of more than some megabytes back to the system at once and takes new ones at the next operation, whose pages are
    then cleared one by one. It is told to keep up to 32 MB a block and 1 GB in all; other C libraries are left alone."""
    largest_block, kept = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(largest_block, 32 << 20)
    mallopt(kept, 1 << 30)


_keep_freed_memory()


def run(recipe: str, out: Path | str = "", overrides: Iterable[str] = (), progress: "Progress | None" = None) -> "Outcome":
    """Make what is missing of a recipe in the run directory `out` (runs/RECIPE if not given), as `tutelage run` does.

    Raises UserError, before anything is written, for a mistake in what was given; Interrupted when the machine fails: the same
    call then goes on.
    """
    from tutelage.recipes import plan as planning
    from tutelage.recipes import recipe as recipes
    from tutelage.recipes import rows, runner

    checked = recipes.load(recipe, overrides)
    path = Path(out) if out else Path("runs") / checked.name
    forecast = planning.forecast(checked, path)
    rows.check_rows(checked, [row.step for row in forecast if row.why])
    planning.check_memory(checked, forecast)
    return runner.run(checked, path, progress)


def plan(recipe: str, out: Path | str = "", overrides: Iterable[str] = (), rehearse: bool = True) -> "list[Forecast]":
    """What `run` would do: each stage, why it would run, and estimates. `rehearse` measures stages in miniature here, which takes some
    seconds; otherwise they are forecast by arithmetic. Writes nothing into `out`."""
    from tutelage.recipes import plan as planning
    from tutelage.recipes import recipe as recipes

    checked = recipes.load(recipe, overrides)
    return planning.forecast(checked, Path(out) if out else Path("runs") / checked.name, rehearsing=rehearse)
