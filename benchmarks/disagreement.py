"""When four of twenty annotators say the opposite of what they think: which reward model is best?

    python -m benchmarks.disagreement RUN [RUN ...]

Each run is a finished `instructgpt` of another seed. Its SFT model answers 8,000 prompts four times, three of twenty simulated annotators
rank each, and reward models learn from that once: from the three joined by majority, joined by Dawid-Skene (which is told nothing of who
flips), and joined by majority with the flippers left out by name. Accuracy is measured against the world's gold on pairs of answers that
none of them saw; differences are paired, clustered by prompt, and a seed whose interval includes 0 is marked. The table goes into
docs/results.md after `<!-- results: disagreement -->`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import tutelage
from benchmarks.effects import Effect, Report, compared, difference, interval
from benchmarks.publish import replace, report, table
from tutelage.cli.screen import stage_of

FLIPPERS = [f"flip-{n:02}" for n in range(1, 5)]
PAGE = """\
schema: 1
about: Four of twenty annotators say the opposite of what they think.
model: {model}
inputs: {{prompts: synthetic:prompts, demonstrations: synthetic:demonstrations}}
stages:
  judged:      {{method: label, policy: model, prompts: prompts, count: 8000, overlap: 3, crowd: {{people: 20, flippers: 4}}}}
  majority:    {{method: reward, init: model, preferences: {{from: judged, aggregate: majority}}}}
  dawid_skene: {{like: majority, preferences: {{from: judged, aggregate: dawid_skene}}}}
  without:     {{like: majority, preferences: {{from: judged, aggregate: majority, without: [{flippers}]}}}}
  evaluate:    {{method: evaluate, models: [majority, dawid_skene, without], evals: [reward_accuracy], count: 2400,
                pair_prompts: 4000, demonstrations: null, text: null}}
"""
ACCURACY = "reward_accuracy"
DAWID_SKENE, WITHOUT = "joined by Dawid-Skene over majority", "flippers left out over majority"


def accuracy(stage: str) -> Effect:
    return Effect(f"accuracy, {stage}", lambda plain: f"{plain['evals'][ACCURACY][stage]['mean']:.3f}")


EFFECTS = (
    accuracy("majority"),
    accuracy("dawid_skene"),
    accuracy("without"),
    compared(DAWID_SKENE, "dawid_skene", "majority", lambda d: d["low"] > 0, ACCURACY),
    compared(WITHOUT, "without", "majority", lambda d: d["low"] > 0, ACCURACY),
)


def disagreement(run: Path, out: Path) -> Report:
    """What the reward models of one seed are worth, on the SFT model of a finished run."""
    sft = stage_of(run, "sft")
    page = out.with_suffix(".yaml")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(PAGE.format(model=(sft.path / "model").resolve(), flippers=", ".join(FLIPPERS)))
    tutelage.run(str(page), out, [f"seed={sft.settings['seed']}"])
    return report(out)


def together(reports: Sequence[Report], a: str, b: str) -> str:
    """The difference over the prompts of all seeds, which are different prompts: how sure it is of these runs, not of another seed."""
    found = [difference(plain, a, b, ACCURACY) for plain in reports]
    middle = sum(one["difference"] for one in found) / len(found)
    half = sum(((one["high"] - one["low"]) / 2) ** 2 for one in found) ** 0.5 / len(found)
    return interval({"difference": middle, "low": middle - half, "high": middle + half})


def main(runs: list[Path]) -> None:
    reports = [disagreement(run, run.with_name(f"{run.name}-disagreement")) for run in runs]
    pooled = {DAWID_SKENE: together(reports, "dawid_skene", "majority"), WITHOUT: together(reports, "without", "majority")}
    rows = [[effect.title, *map(effect.cell, reports), pooled.get(effect.title, "")] for effect in EFFECTS]
    replace("disagreement", table(["", *(f"seed {seed}" for seed in range(len(runs))), "together"], rows))


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
