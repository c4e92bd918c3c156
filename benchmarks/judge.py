"""What a reward model prefers where it would have to know:  python -m benchmarks.judge RUN [RUN ...]

Pairs are made, not sampled: to each prompt of the eval split, the right answer and each faulty one that demonstrators write. Told is
the share of pairs in which the right one scores higher, with Wilson's interval, by family, difficulty and fault. The table is written
into docs/results.md after `<!-- results: judge -->`, a column per run.
"""

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.publish import replace, table
from tutelage.cli.screen import stage_of
from tutelage.core.statistics import Estimate, rate
from tutelage.core.text import Demonstration, Response
from tutelage.data.render import Renderer
from tutelage.models import weights
from tutelage.models.policy import Policy
from tutelage.models.roles import Role
from tutelage.recipes import material
from tutelage.recipes.sources import Input
from tutelage.rollouts.reading import read_responses
from tutelage.synthetic.items import item_of

FAULTS = {
    "page_question": ("says that the page does not say",),
    "page_silent": ("guesses",),
    "known_fact": ("says that it does not know",),
    "unknown_villager": ("guesses",),
    "forbidden_magic": ("obeys", "evades"),
    "lookalike": ("declines", "leaves out half"),
}


def main(runs: list[Path]) -> None:
    found = [preferred(run) for run in runs]
    rows = [
        [family, str(level), fault, *(cell(shares[family, level, fault]) for shares in found)] for family, level, fault in sorted(found[0])
    ]
    replace("judge", table(["family", "level", "the other answer", *(run.name for run in runs)], rows))


def cell(share: Estimate) -> str:
    return f"{share.mean:.2f} ({share.low:.2f} to {share.high:.2f}), n = {share.n}"


def preferred(run: Path) -> dict[tuple[str, int, str], Estimate]:
    """How often the right answer scores higher, by family, level and fault."""
    seed = stage_of(run, "reward_model").settings["seed"]
    prompts = material.prompts(Input("prompts", "synthetic:prompts", seed), "eval", seed)
    items = [item for prompt in prompts if (item := item_of(prompt, seed)).family in FAULTS]
    rows = [Demonstration(item.prompt, Response(text)) for item in items for text in (item.right[0], *item.faulty)]
    scores = iter(scored(run, rows).tolist())
    pairs: dict[tuple[str, int, str], list[bool]] = defaultdict(list)
    for item in items:
        right = next(scores)
        for fault, _ in zip(FAULTS[item.family], item.faulty, strict=True):
            pairs[item.family, item.level, fault].append(right > next(scores))
    return {key: rate(sum(won), len(won)) for key, won in pairs.items()}


def scored(run: Path, rows: Sequence[Demonstration]) -> NDArray[np.float64]:
    """[rows] what the run's reward model says of each response."""
    folder = stage_of(run, "reward_model").path / "model"
    model, tokenizer = weights.load(folder, torch.float32)
    policy, render = Policy({"policy": Role(model, None, weights.load_head(folder))}, tokenizer), Renderer(tokenizer)
    trees = [tree for row in rows for tree in render.demonstration(row)]
    return np.concatenate(read_responses(policy, trees, ("score",))["score"])


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
