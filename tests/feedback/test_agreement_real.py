"""Statistics on votes that real people gave, against other people's code on the same votes."""

import gzip
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from tutelage.feedback.agreement.kappa import kappa
from tutelage.feedback.agreement.krippendorff import alpha
from tutelage.feedback.agreement.pairwise import agreement, ceiling
from tutelage.feedback.agreement.votes import FIRST, SECOND, TIE, Votes, tabulate
from tutelage.feedback.reliability.bradley_terry import bradley_terry
from tutelage.feedback.reliability.dawid_skene import dawid_skene, mirror_of


def rows(folder: Path, name: str) -> list[dict]:
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def bbq(folder: Path) -> Votes:
    """Five crowd workers choose one of three answers."""
    said = []
    for n, row in enumerate(rows(folder, "annotators_bbq_mturk")):
        told = [vote for vote in row["votes"] if vote["answer"]]
        said += [(str(vote["worker"]), (f"i{n}",), float(vote["answer"][-1])) for vote in told]
    return tabulate(*map(list, zip(*{(w, i): (w, i, v) for w, i, v in reversed(said)}.values())))


def pandalm(folder: Path) -> Votes:
    said = []
    for n, row in enumerate(rows(folder, "pref_pandalm_3annotators")):
        for name in ("annotator1", "annotator2", "annotator3"):
            said.append((name, (f"i{n}", "a", "b"), {0: TIE, 1: FIRST, 2: SECOND}[int(row[name])]))
    return tabulate(*map(list, zip(*said)))


def qags(folder: Path) -> Votes:
    said = []
    for n, row in enumerate(rows(folder, "annotators_qags_summaries")):
        for m, sentence in enumerate(row["summary_sentences"]):
            said += [(str(r["worker_id"]), (f"article {n}", str(m)), r["response"]) for r in sentence["responses"]]
    return tabulate(*map(list, zip(*{(w, i): (w, i, v) for w, i, v in reversed(said)}.values())))


def slow_agreement(votes: Votes) -> float:
    alike = [
        votes.label_N[x] == votes.label_N[y]
        for item in range(len(votes.items))
        for x, y in combinations(np.flatnonzero(votes.item_N == item), 2)
    ]
    return float(np.mean(alike))


def test_three_annotators_of_pandalm_are_scikit_learns(shared_data: Path) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    votes = pandalm(shared_data)
    assert len(votes) == 3 * 483 and votes.workers == ("annotator1", "annotator2", "annotator3")
    table = np.full((3, 483), -1)
    table[votes.worker_N, votes.item_N] = votes.label_N
    for a, b in combinations(range(3), 2):
        two = votes.where((votes.worker_N == a) | (votes.worker_N == b))
        assert kappa(two, draws=2).mean == pytest.approx(metrics.cohen_kappa_score(table[a], table[b]), abs=1e-9)
    found = agreement(votes)
    assert found.mean == pytest.approx(slow_agreement(votes)) and 0.6 < found.mean < 0.95 and found.high - found.low < 0.06
    assert ceiling(agreement(votes.preferring())).mean > 0.9


def test_people_of_pandalm_agree_with_both_models(shared_data: Path) -> None:
    """Where all three prefer the same, so does whoever adds them up."""
    votes = pandalm(shared_data)
    unanimous = votes.share_IL.max(1) == 1
    likeliest = dawid_skene(votes, mirror=mirror_of(votes)).posterior_IC.argmax(1)
    assert (likeliest == votes.share_IL.argmax(1))[unanimous].mean() > 0.99
    strengths = bradley_terry(votes).first_I
    for label, true in ((0, strengths > 0.5), (1, strengths < 0.5)):
        assert true[unanimous & (votes.share_IL[:, label] == 1)].all()


def test_a_crowd_of_bbq_is_crowd_kits(shared_data: Path) -> None:
    kit = pytest.importorskip("crowdkit.aggregation")
    metrics = pytest.importorskip("crowdkit.metrics.data")
    pandas = pytest.importorskip("pandas")
    votes = bbq(shared_data)
    assert len(votes) > 6000 and len(votes.labels) == 3
    data = pandas.DataFrame(
        {
            "worker": [votes.workers[w] for w in votes.worker_N],
            "task": [votes.items[i][0] for i in votes.item_N],
            "label": [votes.labels[v] for v in votes.label_N],
        }
    )
    assert alpha(votes, draws=2).mean == pytest.approx(metrics.alpha_krippendorff(data), abs=1e-9)
    oracle = kit.OneCoinDawidSkene(n_iter=20, tol=-1.0)
    their = oracle.fit_predict_proba(data).loc[[i[0] for i in votes.items], list(votes.labels)].to_numpy()
    ours = dawid_skene(votes, "one_coin", smoothing=0, tolerance=0, most=20)
    assert np.abs(ours.posterior_IC - their).max() < 1e-9


def test_workers_of_qags_are_above_chance(shared_data: Path) -> None:
    votes = qags(shared_data)
    found, beyond = agreement(votes), alpha(votes)
    assert found.mean == pytest.approx(slow_agreement(votes)) and found.clusters <= 356 < found.n
    assert 0 < beyond.low < beyond.mean < beyond.high < 1


def test_two_annotators_of_xstest_are_scikit_learns(shared_data: Path) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    given = rows(shared_data, "safety_xstest_completions")
    a, b = ([row[f"annotation_{n}"] for row in given] for n in (1, 2))
    items = [(row["prompt"], row["model"]) for row in given]
    votes = tabulate(["a"] * len(given) + ["b"] * len(given), items * 2, a + b)
    found = kappa(votes)
    assert found.mean == pytest.approx(metrics.cohen_kappa_score(a, b), abs=1e-9) and found.clusters == len({i[0] for i in items})
    assert agreement(votes).mean == pytest.approx(np.mean([x == y for x, y in zip(a, b)]), abs=1e-12)


def test_preferences_of_finegrained_rlhf_order_the_four(shared_data: Path) -> None:
    """Six human judgements of each two of four predictions: strengths restore nearly all of them."""
    said = []
    for n, row in enumerate(rows(shared_data, "pref_finegrained_qa")):
        for (i, j), value in zip(combinations(range(4), 2), row["preference"]):
            said.append(("person", (f"q{n}", str(i), str(j)), {0: TIE, 1: FIRST, 2: SECOND}[int(value)]))
    votes = tabulate(*map(list, zip(*said)))
    found = bradley_terry(votes, annotators=False)
    decided = votes.label_N < 2
    right = (found.first_I[votes.item_N] > 0.5) == (votes.label_N == 0)
    assert found.converged and found.nu > 0 and right[decided].mean() > 0.95
