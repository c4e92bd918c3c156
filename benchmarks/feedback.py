"""Real judgements through everything that is behind the labelling site:  python -m benchmarks.feedback DATA MODEL [--folds 5] [--out DIR]

Six public sets (DATA holds them as .jsonl.gz) are imported, measured, exported, imported again; the rankings of one train a reward model
from MODEL, fold by fold, so that each prompt is held out once. Three tables go into docs/results.md after `<!-- results: feedback -->`.

Agreement is the share of pairs of votes on the same thing that are the same; alpha is Krippendorff's (nominal; interval for scores); the
ceiling is the accuracy that the agreement implies for a single label. Intervals are at 95 %, over prompts.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.publish import replace, table
from tutelage import run
from tutelage.core.settings import write_yaml
from tutelage.core.statistics import Estimate, mean
from tutelage.data.render import Renderer
from tutelage.evals.eval import Pair
from tutelage.evals.reward_accuracy import best_feature, right
from tutelage.feedback import foreign
from tutelage.feedback.agreement.krippendorff import alpha
from tutelage.feedback.agreement.pairwise import agreement, ceiling
from tutelage.feedback.agreement.votes import by_kind, votes_of
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.export import export
from tutelage.feedback.foreign import Imported
from tutelage.feedback.reliability.dawid_skene import dawid_skene
from tutelage.feedback.signals import Preference
from tutelage.feedback.store import Store
from tutelage.feedback.tasks import load, signals_of
from tutelage.models.device import here
from tutelage.models.loading import load_role
from tutelage.models.policy import Policy
from tutelage.models.roles import place
from tutelage.rollouts.reading import read_responses

SETS = (
    *("pref_finegrained_qa", "annotators_bbq_mturk", "annotators_qags_summaries"),
    *("pref_pandalm_3annotators", "trees_oasst_en100", "safety_xstest_completions"),
)
RANKED = "pref_finegrained_qa"


@dataclass(frozen=True)
class Held:
    """Accuracy on held-out pairs."""

    own: Estimate
    feature: str
    best: Estimate


def main() -> None:
    asked = argparse.ArgumentParser(description="Real judgements, imported, measured, exported, learnt from.")
    asked.add_argument("data", type=Path)
    asked.add_argument("model", type=Path)
    asked.add_argument("--folds", type=int, default=5)
    asked.add_argument("--epochs", type=int, default=1)
    asked.add_argument("--out", type=Path, help="Where runs and files are kept; a temporary folder if not given.")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        brought = [[name, *carried(given.data / f"{name}.jsonl.gz", folder)] for name in SETS]
        rankings = [a for a in Store(folder / f"{RANKED}.sqlite").read() if a.task in ("ranking", "pair")]
        held = held_out(rankings, given.model, folder, given.folds, given.epochs)
    head = [
        "set",
        "read as",
        "rows",
        "judgements",
        "repeats",
        "people",
        "passed over",
        "read, s",
        "as raw Parquet, MiB",
        "written and read again",
    ]
    told = [
        table(head, [[name, *row[:-1]] for name, *row in brought]),
        table(
            ["set", "what", "votes", "agreement", "Krippendorff's alpha", "ceiling of single labels", "people told apart"],
            measured(brought),
        ),
        learnt(rankings, held, given.folds, given.epochs),
    ]
    replace("feedback", "\n\n".join(told))


def carried(path: Path, folder: Path) -> list[object]:
    """A file into a store, out again in its own format and raw, and read again."""
    began = time.perf_counter()
    found = foreign.read(path)
    took = time.perf_counter() - began
    name = path.name.removesuffix(".jsonl.gz")
    store = Store(folder / f"{name}.sqlite")
    store.append(found.annotations, "import", found.repeats)
    kept, repeats = list(store.read()), [event.annotation for event in store.repeats() if event.annotation]
    raw, again = folder / f"{name}.parquet", folder / f"{name}.again.jsonl"
    export(kept, raw, repeats=repeats)
    export(kept, again, found.format, repeats=repeats)
    wanted = _times(found)
    same = all(_times(foreign.read(file)) == wanted for file in (raw, again)) and Counter(a.id for a in (*kept, *repeats)) == wanted
    people = len({a.annotator for a in kept})
    passed = "; ".join(f"{n:,} {why}" for why, n in found.passed.items())
    size = f"{raw.stat().st_size / 2**20:.2f}"
    return [
        found.format,
        f"{found.rows:,}",
        f"{len(kept) + len(repeats):,}",
        f"{len(repeats):,}",
        str(people),
        passed,
        f"{took:.1f}",
        size,
        "the same" if same else "**not the same**",
        found,
    ]


def _times(found: Imported) -> Counter[str]:
    """How often each judgement stands in a file."""
    return Counter(a.id for a in (*found.annotations, *found.repeats))


def measured(brought: Sequence[Sequence[object]]) -> list[list[str]]:
    """Agreement of each set that has several people, by what they judged."""
    rows: list[list[str]] = []
    for name, *_, found in brought:
        assert isinstance(found, Imported)
        judged = [a for a in found.annotations if load(a.task).gives != "texts"]
        for kind, annotations in by_kind(judged).items():
            if len({a.annotator for a in annotations}) < 2:
                continue
            votes = votes_of(annotations)
            agreed = agreement(votes)
            metric = "interval" if annotations[0].task == "score" else "nominal"
            top = ceiling(agreement(votes.preferring())) if annotations[0].task in ("ranking", "pair", "best_worst") else None
            spread = dawid_skene(votes).accuracy_W if annotations[0].task != "score" else None
            apart = "" if spread is None else f"{spread.min():.2f} to {spread.max():.2f}"
            rows.append([str(name), kind, f"{len(votes):,}", said(agreed), said(alpha(votes, metric)), said(top), apart])
    return rows


def held_out(annotations: Sequence[Annotation], model: Path, folder: Path, folds: int, epochs: int) -> Held:
    """Each prompt's pairs, scored by a reward model that has not seen the prompt."""
    values: list[float] = []
    pairs: list[Pair] = []
    for fold in range(folds):
        train = [a for a in annotations if int(a.prompt.id, 16) % folds != fold]
        test = [a for a in annotations if int(a.prompt.id, 16) % folds == fold]
        export(train, folder / f"fold{fold}.jsonl")
        page = folder / f"fold{fold}.yaml"
        stage = {"method": "reward", "init": "model", "preferences": "preferences", "demonstrations": None, "epochs": epochs}
        stage["too_long"] = "leave_out"
        inputs = {"preferences": str(folder / f"fold{fold}.jsonl")}
        page.write_text(write_yaml({"schema": 1, "model": str(model), "inputs": inputs, "stages": {"reward_model": stage}}))
        artifact = run(str(page), out=str(folder / f"fold{fold}")).artifacts["reward_model"]
        for a, scores in zip(test, scored(test, artifact.path / "model"), strict=True):
            for s in signals_of(a):
                assert isinstance(s, Preference)
                values.append(right(scores[s.winner], scores[s.loser]))
                pairs.append(Pair(a.prompt, a.responses[s.winner], a.responses[s.loser], 1.0, a.prompt.id))
    best = best_feature(pairs)
    return Held(
        mean(values, [pair.cluster for pair in pairs]),
        best.stage,
        Estimate(best.mean, best.low, best.high, best.n, len({pair.cluster for pair in pairs})),
    )


def scored(annotations: Sequence[Annotation], model: Path) -> list[list[float]]:
    """The reward model's score of each response."""
    role, words = load_role(model, torch.float32)
    place(role, here("cpu"))
    render = Renderer(words)
    trees = [render.tree(a.prompt, a.responses) for a in annotations]
    flat = iter(read_responses(Policy({"policy": role}, words, "float32"), trees, ("score",))["score"])
    return [[float(next(flat)[0]) for _ in a.responses] for a in annotations]


def learnt(rankings: Sequence[Annotation], held: Held, folds: int, epochs: int) -> str:
    """The reward model's accuracy in words."""
    prompts = len({a.prompt.id for a in rankings})
    of = f"{len(rankings)} rankings and contradicting pairs on {prompts} prompts, {folds} folds, epochs: {epochs}"
    own = f"A reward model from {RANKED} ({of}): held-out accuracy {said(held.own)}, n = {held.own.n:,} pairs"
    return f"{own}; {held.feature}, the best judge by a single feature: {said(held.best)}."


def said(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return f"{estimate.mean:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


if __name__ == "__main__":
    main()
