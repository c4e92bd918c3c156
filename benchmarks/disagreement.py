"""When four of twenty annotators say the opposite of what they think: which reward model is best?

    python -m benchmarks.disagreement RUN [RUN ...]

Each run is a finished `instructgpt` of another seed. Its SFT model answers 8,000 prompts four times, three of twenty simulated annotators
rank each, and reward models learn from that once: from the three joined by majority, joined by Dawid-Skene (which is told nothing of who
flips), and joined by majority with the flippers left out by name. Two trainings on the same labels in another order differ by about a
point, as much as what is measured; so each is done in three orders, and their mean is compared. Accuracy is measured against the world's
gold on pairs of answers that none of them saw; differences are paired, clustered by prompt, and a seed whose interval includes 0 is marked.
The table goes into docs/results.md after `<!-- results: disagreement -->`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import tutelage
from benchmarks.effects import Effect, Report, difference, interval
from benchmarks.publish import replace, report, table
from tutelage.cli.screen import stage_of

FLIPPERS = [f"flip-{n:02}" for n in range(1, 5)]
KINDS = {
    "majority": "{from: judged, aggregate: majority}",
    "dawid_skene": "{from: judged, aggregate: dawid_skene}",
    "without": f"{{from: judged, aggregate: majority, without: [{', '.join(FLIPPERS)}]}}",
}
ORDERS = range(3)
PAGE = """\
schema: 1
about: Four of twenty annotators say the opposite of what they think.
model: {model}
inputs: {{prompts: synthetic:prompts, demonstrations: synthetic:demonstrations}}
stages:
  judged: {{method: label, policy: model, prompts: prompts, count: 8000, overlap: 3, crowd: {{people: 20, flippers: 4}}}}
{trained}
  evaluate: {{method: evaluate, models: [{models}], evals: [reward_accuracy], count: 2400, pair_prompts: 8000,
             demonstrations: null, text: null}}
"""
ACCURACY = "reward_accuracy"
DAWID_SKENE, WITHOUT = "joined by Dawid-Skene over majority", "flippers left out over majority"


def page(model: Path) -> str:
    """The recipe."""
    stages = {f"{kind}_{order}": f"preferences: {labels}, order: {order}" for kind, labels in KINDS.items() for order in ORDERS}
    trained = "\n".join(f"  {name}: {{method: reward, init: model, {settings}}}" for name, settings in stages.items())
    return PAGE.format(model=model, trained=trained, models=", ".join(stages))


def accuracy(kind: str) -> Effect:
    def told(plain: Report) -> str:
        found = [plain["evals"][ACCURACY][f"{kind}_{order}"]["mean"] for order in ORDERS]
        return f"{sum(found) / len(found):.3f} ({min(found):.3f} to {max(found):.3f})"

    return Effect(f"accuracy, {kind}, mean of three orders (least to most)", told)


def gain(plain: Report, kind: str) -> dict[str, float]:
    """Over majority, the mean of three orders. Its interval is as wide as theirs on average, as if they erred alike: no less than true."""
    found = [difference(plain, f"{kind}_{order}", f"majority_{order}", ACCURACY) for order in ORDERS]
    return {name: sum(one[name] for one in found) / len(found) for name in ("difference", "low", "high")}


def gained(title: str, kind: str) -> Effect:
    return Effect(title, lambda plain: interval(gain(plain, kind)), lambda plain: gain(plain, kind)["low"] > 0)


EFFECTS = (
    accuracy("majority"),
    accuracy("dawid_skene"),
    accuracy("without"),
    gained(DAWID_SKENE, "dawid_skene"),
    gained(WITHOUT, "without"),
)


def disagreement(run: Path, out: Path) -> Report:
    """What the reward models of one seed are worth, on the SFT model of a finished run."""
    sft = stage_of(run, "sft")
    written = out.with_suffix(".yaml")
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(page((sft.path / "model").resolve()))
    tutelage.run(str(written), out, [f"seed={sft.settings['seed']}"])
    return report(out)


def together(reports: Sequence[Report], kind: str) -> str:
    """The difference over the prompts of all seeds, which are different prompts: how sure it is of these runs, not of another seed."""
    found = [gain(plain, kind) for plain in reports]
    middle = sum(one["difference"] for one in found) / len(found)
    half = sum(((one["high"] - one["low"]) / 2) ** 2 for one in found) ** 0.5 / len(found)
    return interval({"difference": middle, "low": middle - half, "high": middle + half})


def main(runs: list[Path]) -> None:
    reports = [disagreement(run, run.with_name(f"{run.name}-disagreement")) for run in runs]
    pooled = {DAWID_SKENE: together(reports, "dawid_skene"), WITHOUT: together(reports, "without")}
    rows = [[effect.title, *map(effect.cell, reports), pooled.get(effect.title, "")] for effect in EFFECTS]
    replace("disagreement", table(["", *(f"seed {seed}" for seed in range(len(runs))), "together"], rows))


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
