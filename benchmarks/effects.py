"""The published effects of several runs of `instructgpt`, a column per run:  python benchmarks/effects.py RUN [RUN ...]

Each run is another seed of the recipe; every figure comes from its report.json. Written into docs/results.md after
`<!-- results: seeds -->`. What `make effects` asserts is marked where it is missed.
"""

import sys
from pathlib import Path
from typing import Any

from publish import replace, report, table


def main(runs: list[Path]) -> None:
    columns = [column(report(run)) for run in runs]
    rows = [[name, *(found[name] for found in columns)] for name in columns[0]]
    replace("seeds", table(["", *(f"seed {seed}" for seed in range(len(runs)))], rows))


def column(plain: dict[str, Any]) -> dict[str, str]:
    evals, accuracy = plain["evals"], plain["evals"]["reward_accuracy"]
    own = accuracy["reward_model"]["mean"]
    feature, best = max(((stage, x["mean"]) for stage, x in accuracy.items() if stage != "reward_model"), key=lambda pair: pair[1])
    ppo, best_of, dpo = (difference(plain, *pair) for pair in (("ppo", "sft"), ("ppo", "sft best of 4"), ("dpo", "sft")))
    without, text = (difference(plain, stage, "sft", "forgetting") for stage in ("ppo_no_ptx", "ppo"))
    return {
        "SFT, overall gold": f"{evals['overall']['sft']['mean']:.3f}",
        "SFT over base": told(difference(plain, "sft", "base"), lambda d: d["low"] > 0),
        "PPO over SFT (at least 0.06)": told(ppo, lambda d: d["difference"] >= 0.06 and d["low"] > 0),
        "PPO's KL, nats per answer": f"{evals['kl']['ppo']['mean']:.2f}",
        "PPO over best of 4 by its reward model (not below 0)": told(best_of, lambda d: d["difference"] >= 0),
        "DPO over SFT": told(dpo, lambda d: d["low"] > 0),
        f"reward model's accuracy (0.68; {feature} + 0.05)": f"{own:.3f} against {best:.3f}{missed(own >= 0.68 and own >= best + 0.05)}",
        "perplexity of held-out text, PPO without text over SFT (at least +5 %)": told(without, lambda d: d["difference"] >= 0.05),
        "the same with text (at most half of that)": told(text, lambda d: d["difference"] <= max(0.0, without["difference"] / 2)),
    }


def difference(plain: dict[str, Any], a: str, b: str, name: str = "overall") -> dict[str, float]:
    return next(c for c in plain["comparisons"] if (c["a"], c["b"], c["eval"], c["family"]) == (a, b, name, ""))


def told(found: dict[str, float], held: Any) -> str:
    return f"{found['difference']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f}){missed(held(found))}"


def missed(held: bool) -> str:
    return "" if held else " **missed**"


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
