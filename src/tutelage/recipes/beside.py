"""Pre-training text beside what a stage learns, against forgetting: PPO-ptx, and the mix that InstructGPT's SFT is made with
(Ouyang et al., 2203.02155, eq. 2 and appendix C.4)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

from annotated_types import Ge, Gt

from tutelage.data.pieces import Packing, cut
from tutelage.data.render import Renderer
from tutelage.data.tree import Tree
from tutelage.objectives.mixture import TEXT
from tutelage.recipes import material
from tutelage.recipes.work import Work

MOST = 1_600_000
"""Tokens of text that are kept at hand."""


@dataclass(frozen=True)
class Ptx:
    """Pre-training text beside a stage's own examples."""

    data: str
    """Text: an input."""
    coef: Annotated[float, Gt(0.0)] = 0.05
    """Weight of the mean nats per text token against the mean loss per token of the stage. (InstructGPT's 27.8 is on another scale.)"""
    tokens: Annotated[int, Ge(64)] = 512
    """Text tokens per optimiser step."""


def text_beside(work: Work, ptx: Ptx, render: Renderer) -> Callable[[int], list[Tree]]:
    """The documents that step i learns from beside its own examples, as a function of i."""
    found = material.documents(work.input("ptx.data"), MOST)
    trees = tuple(replace(piece, part=TEXT) for text in found for piece in cut(render.document(text), render.context or 1 << 30))
    return Packing(trees, max(ptx.tokens, max(tree.length for tree in trees)), seed=work.seed + 1).at
