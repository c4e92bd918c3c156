"""A model in a folder that is asked to write, by a command: loaded, put where this machine computes, and heard once for how it writes."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # commands that load no model need no torch
    from tutelage.data.render import Renderer
    from tutelage.models.sampler import Sampler


def speaker(folder: Path, told: Callable[[str], None], room: int = 0) -> "tuple[Sampler, Renderer]":
    """Who writes, and who turns prompts into tokens, those left out that leave no `room` (tokens) for an answer. `told` hears why a model
    writes slowly, if it does."""
    from tutelage.data.render import Renderer
    from tutelage.models.device import chosen, here
    from tutelage.models.loading import context, load_role
    from tutelage.models.roles import causal, place
    from tutelage.models.sampler import Sampler
    from tutelage.models.speaking import voice

    role, words = load_role(folder)
    place(role, here(chosen()))
    if note := voice(causal(role.network)).note:
        told(note)
    render = Renderer(words, context(folder) - room)
    return Sampler(role.network, render.end), render
