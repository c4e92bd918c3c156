"""The recipe's model where that is a hub id: looked up (pinned to a commit, config and tokenizer at hand) before anything is planned,
fetched with its weights before anything runs. Once a run directory has a commit, that is what every later start takes.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tutelage.core.run import MANIFEST, Run
from tutelage.core.settings import build, to_plain
from tutelage.models.hub.files import check_whole
from tutelage.models.hub.snapshot import Pin, complete, look_up
from tutelage.recipes.recipe import Recipe

FIELD = "model"
"""Of the manifest."""


def looked_up(recipe: Recipe, out: Path, say: Callable[[str], None]) -> Recipe:
    """The recipe with its model's folder known, weights apart. Does nothing where there is no hub id, or it was looked up. Raises
    UserError."""
    model = recipe.model
    if model.hub is None or model.snapshot is not None:
        return recipe
    found = look_up(model.hub, pinned(recipe, out), model.place, say)
    return replace(recipe, model=replace(model, snapshot=found, path=found.folder))


def pinned(recipe: Recipe, out: Path) -> Pin | None:
    """What the run directory keeps of this very repository and revision; None where it is new, or began with another."""
    noted = Run.view(out).manifest.get(FIELD) if (out / MANIFEST).exists() else None
    name = recipe.model.hub
    if noted is None or name is None:
        return None
    pin = build(Pin, noted, f"{out / MANIFEST}: {FIELD}")
    return pin if (pin.repository, pin.revision) == (name.repository, name.revision) else None


def fetched(recipe: Recipe, say: Callable[[str], None]) -> Recipe:
    """The recipe with its model whole: a hub's weights in the cache, a folder's all there. Raises UserError, also for an architecture that
    isn't transformers' own, before weights are fetched; Interrupted for a full disk."""
    model = recipe.model
    if model.path is not None:
        from tutelage.models.dressing import config_in  # late: plans don't wait for transformers

        config_in(model.path)
        complete(model.snapshot, say) if model.snapshot else check_whole(model.path)
    return recipe


def note(recipe: Recipe, opened: Run) -> None:
    """Keep the commit in the run directory."""
    if recipe.model.snapshot is not None:
        pin = to_plain(recipe.model.snapshot.pin)
        if opened.manifest.get(FIELD) != pin:
            opened.update(model=pin)
