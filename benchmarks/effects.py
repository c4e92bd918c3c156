"""What the demo's recipe must show, asserted on three seeds by `make prove` and written as a table, a column per run:

    python -m benchmarks.effects RUN [RUN ...]

Each run is another seed of `instructgpt`; every figure comes from its report.json. The table is written into docs/results.md after
`<!-- results: seeds -->`; what does not hold is marked there.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.publish import replace, report, table

Report = dict[str, Any]


@dataclass(frozen=True)
class Effect:
    """One row: what was found, and, where something must be found, whether it was."""

    title: str
    told: Callable[[Report], str]
    held: Callable[[Report], bool] | None = None

    def cell(self, plain: Report) -> str:
        return self.told(plain) + (" **missed**" if self.held and not self.held(plain) else "")


def main(runs: list[Path]) -> None:
    reports = [report(run) for run in runs]
    rows = [[effect.title, *map(effect.cell, reports)] for effect in EFFECTS]
    replace("seeds", table(["", *(f"seed {seed}" for seed in range(len(runs)))], rows))


def difference(plain: Report, a: str, b: str, name: str = "overall") -> dict[str, float]:
    """The paired difference of two stages, clustered by prompt (perplexity: a share, by document)."""
    return next(c for c in plain["comparisons"] if (c["a"], c["b"], c["eval"], c["family"]) == (a, b, name, ""))


def compared(title: str, a: str, b: str, held: Callable[[dict[str, float]], bool], name: str = "overall") -> Effect:
    """A paired difference and what must hold of it."""
    return Effect(title, lambda plain: interval(difference(plain, a, b, name)), lambda plain: held(difference(plain, a, b, name)))


def interval(found: dict[str, float]) -> str:
    return f"{found['difference']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"


def accuracies(plain: Report) -> tuple[float, str, float]:
    """The reward model's accuracy, the best judge by a single feature, and that one's."""
    found = {stage: figures["mean"] for stage, figures in plain["evals"]["reward_accuracy"].items()}
    own = found.pop("reward_model")
    feature = max(found, key=lambda stage: found[stage])
    return own, feature, found[feature]


def judged(plain: Report) -> str:
    own, feature, share = accuracies(plain)
    return f"{own:.3f}; {feature} {share:.3f}"


def beats_features(plain: Report) -> bool:
    own, _, share = accuracies(plain)
    return own >= 0.68 and own >= share + 0.05


def keeps_text(plain: Report) -> bool:
    """With pre-training text, at most half of the rise that there is without it."""
    without, with_text = (difference(plain, stage, "sft", "forgetting")["difference"] for stage in ("ppo_no_ptx", "ppo"))
    return with_text <= without / 2


def mean(name: str, stage: str, digits: int) -> Callable[[Report], str]:
    return lambda plain: f"{plain['evals'][name][stage]['mean']:.{digits}f}"


EFFECTS = (
    Effect("SFT, overall gold", mean("overall", "sft", 3)),
    compared("SFT over base", "sft", "base", lambda d: d["low"] > 0),
    compared("PPO over SFT (at least 0.06)", "ppo", "sft", lambda d: d["difference"] >= 0.06 and d["low"] > 0 and d["n"] >= 900),
    Effect("PPO's KL, nats per answer (below 15)", mean("kl", "ppo", 2), lambda plain: plain["evals"]["kl"]["ppo"]["mean"] < 15),
    compared("PPO over best of 4 by its reward model (not below 0)", "ppo", "sft best of 4", lambda d: d["difference"] >= 0),
    compared("DPO over SFT", "dpo", "sft", lambda d: d["low"] > 0),
    Effect("reward model's accuracy (0.68, and 0.05 above the best single feature)", judged, beats_features),
    compared(
        "perplexity of held-out text, PPO without text over SFT (at least +5 %)",
        "ppo_no_ptx",
        "sft",
        lambda d: d["difference"] >= 0.05,
        "forgetting",
    ),
    Effect(
        "the same with text (at most half of that)",
        lambda plain: interval(difference(plain, "ppo", "sft", "forgetting")),
        keeps_text,
    ),
)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
