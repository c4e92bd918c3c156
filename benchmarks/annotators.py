"""How often each annotator of a run was right about the run's own answers:  python -m benchmarks.annotators RUN [RUN ...]

Told is the share of pairs with a gold gap of at least 0.1 that the ranking puts right (a tie counts half), with its interval clustered
by prompt. The design wants 0.72-0.78. The table is written into docs/results.md after `<!-- results: annotators -->`.
"""

import sys
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

from benchmarks.publish import replace, table
from tutelage.cli.screen import stage_of
from tutelage.core.statistics import Estimate, mean
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.store import Store
from tutelage.synthetic.annotators import annotators
from tutelage.synthetic.gold import grade
from tutelage.synthetic.items import item_of

GAP = 0.1


def main(runs: list[Path]) -> None:
    rows = [[name, *(told(run, [name]) for run in runs)] for name in annotators()]
    rows.append(["all", *(told(run, annotators()) for run in runs)])
    replace("annotators", table(["", *(run.name for run in runs)], rows))


def told(run: Path, names: Iterable[str]) -> str:
    made = stage_of(run, "preferences")
    found = accuracy(Store(made.path / "annotations.sqlite", create=False).read(annotators=list(names)), made.settings["seed"])
    return f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f}), n = {found.n:,}"


def accuracy(annotations: Iterable[Annotation], seed: int) -> Estimate:
    """Of rankings, on pairs whose gold differs by `GAP` or more."""
    right: list[float] = []
    prompts: list[str] = []
    for annotation in annotations:
        tier = {place: n for n, tier in enumerate(annotation.answer["tiers"]) for place in tier}
        item = item_of(annotation.prompt, seed)
        gold = [grade(item, response.text, response.finished).overall for response in annotation.responses]
        for a, b in combinations(range(len(gold)), 2):
            better, worse = (a, b) if gold[a] > gold[b] else (b, a)
            if gold[better] - gold[worse] >= GAP:
                right.append(0.5 if tier[a] == tier[b] else float(tier[better] < tier[worse]))
                prompts.append(annotation.prompt.id)
    return mean(right, prompts)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
