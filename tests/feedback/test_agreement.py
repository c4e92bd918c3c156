"""Agreement: other people's numbers to 1e-9, intervals that cover, disagreement that is planted and seen."""

from itertools import combinations, pairwise
from math import sqrt

import numpy as np
import pytest

from tests.feedback.crowd import crowd, rankings, rated
from tutelage.core.randomness import stream
from tutelage.feedback.agreement.bootstrap import acceleration, bootstrap, drawn
from tutelage.feedback.agreement.kappa import kappa
from tutelage.feedback.agreement.krippendorff import alpha
from tutelage.feedback.agreement.pairwise import agreement, by_prompt, ceiling, implied_accuracy, pairs_of, share
from tutelage.feedback.agreement.people import with_others
from tutelage.feedback.agreement.votes import FIRST, SECOND, TIE, Votes, tabulate, votes_of


def slow_alpha(votes: Votes, metric: str) -> float:
    """From the definition, with a table of coincidences and Krippendorff's own ordinal metric."""
    size = len(votes.labels)
    o = np.zeros((size, size))
    for i in range(len(votes.items)):
        said = votes.label_N[votes.item_N == i]
        for x, y in combinations(range(len(said)), 2):
            o[said[x], said[y]] += 1 / (len(said) - 1)
            o[said[y], said[x]] += 1 / (len(said) - 1)
    n_L = o.sum(1)
    delta = np.zeros((size, size))
    for c in range(size):
        for k in range(size):
            low, high = min(c, k), max(c, k)
            ordinal = (n_L[low : high + 1].sum() - (n_L[c] + n_L[k]) / 2) ** 2
            delta[c, k] = {"nominal": c != k, "interval": (votes.values_L[c] - votes.values_L[k]) ** 2, "ordinal": ordinal}[metric]
    n = n_L.sum()
    return 1 - (o * delta).sum() / n / ((np.outer(n_L, n_L) * delta).sum() / (n * (n - 1)))


@pytest.mark.parametrize("metric", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("seed", range(4))
def test_alpha_is_its_definition(metric, seed):
    votes = rated(seed, labels=(1, 2, 3, 5, 8))
    assert alpha(votes, metric, draws=2).mean == pytest.approx(slow_alpha(votes, metric), abs=1e-12)


@pytest.mark.parametrize("metric", ["nominal", "interval"])
def test_alpha_is_crowd_kits(metric):
    metrics = pytest.importorskip("crowdkit.metrics.data")
    pandas = pytest.importorskip("pandas")
    distance = {"nominal": lambda a, b: float(a != b), "interval": lambda a, b: float((a - b) ** 2)}[metric]
    votes = rated(2)
    votes = votes.where(votes.count_I[votes.item_N] >= 2)
    data = pandas.DataFrame(
        {
            "worker": [votes.workers[w] for w in votes.worker_N],
            "task": [votes.items[i][0] for i in votes.item_N],
            "label": [votes.labels[v] for v in votes.label_N],
        }
    )
    assert alpha(votes, metric, draws=2).mean == pytest.approx(metrics.alpha_krippendorff(data, distance), abs=1e-9)


def test_alpha_of_krippendorffs_own_example():
    """Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section C: four observers, twelve units, missing values."""
    reliability = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    said = [(f"o{o}", (f"u{u}",), v) for o, row in enumerate(reliability) for u, v in enumerate(row) if v is not None]
    votes = tabulate(*map(list, zip(*said)))
    for metric, published in (("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)):
        assert alpha(votes, metric, draws=2).mean == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize("seed", range(3))
def test_agreement_with_the_others_is_that_of_a_persons_pairs(seed):
    votes = votes_of(rankings(seed, prompts=20, people=("a", "b", "c", "d"), tie=0.2))
    votes = votes.where(np.random.default_rng(seed).random(len(votes)) < 0.5)  # some prompts and pairs not by all
    a_P, b_P = pairs_of(votes)
    found = with_others(votes)
    assert sorted(found) == ["a", "b", "c", "d"] and list(found) == list(votes.workers)
    for number, name in enumerate(votes.workers):
        own_P = (votes.worker_N[a_P] == number) | (votes.worker_N[b_P] == number)
        slow = share((votes.label_N[a_P] == votes.label_N[b_P])[own_P].astype(float), votes.group_N[a_P][own_P])
        assert (found[name].n, found[name].clusters) == (own_P.sum(), slow.clusters)
        assert (found[name].mean, found[name].low, found[name].high) == pytest.approx((slow.mean, slow.low, slow.high), abs=1e-12)
    assert with_others(tabulate(["a", "b"], [("x",), ("y",)], ["s", "t"])) == {}


def test_agreement_counts_pairs_of_votes():
    votes = tabulate(["a", "b", "c", "a", "b", "a"], [("x",)] * 3 + [("y",)] * 2 + [("z",)], ["s", "s", "t", "s", "s", "t"])
    found = agreement(votes)
    assert found.mean == pytest.approx(2 / 4) and found.n == 4 and found.clusters == 2
    assert by_prompt(votes) == {"x": pytest.approx(1 / 3), "y": 1.0}
    a, b = pairs_of(votes)
    assert sorted(zip(a.tolist(), b.tolist())) == [(0, 1), (0, 2), (1, 2), (3, 4)]


def test_pairs_of_votes_are_all_of_them_once():
    votes = rated(7)
    found = set(map(frozenset, zip(*(p.tolist() for p in pairs_of(votes)))))
    wanted = {frozenset((x, y)) for x, y in combinations(range(len(votes)), 2) if votes.item_N[x] == votes.item_N[y]}
    assert found == wanted and len(pairs_of(votes)[0]) == len(wanted)


def test_agreement_is_clustered_by_prompt():
    """An interval that isn't would be too narrow: 36 pairs of one ranking are not 36 witnesses."""
    votes = votes_of(rankings(1, prompts=100, k=9, noise=4.0))
    clustered = agreement(votes)
    items = [("x".join(item),) for item in votes.items]
    alone = agreement(Votes(votes.worker_N, votes.item_N, votes.label_N, votes.workers, tuple(items), votes.labels))
    assert clustered.mean == pytest.approx(alone.mean) and clustered.clusters == 100 and alone.clusters == 3600
    assert clustered.high - clustered.low > 1.1 * (alone.high - alone.low)


@pytest.mark.parametrize("overlap", [2, 3])
def test_the_interval_of_agreement_covers(overlap):
    q, hits = 0.836, 0
    for seed in range(200):
        found = agreement(crowd(1000 + seed, items=150, overlap=overlap, bad=0)[0])
        hits += found.low <= q**2 + (1 - q) ** 2 <= found.high
    assert 180 <= hits <= 198, "95 % of 200 would be 190"


def test_where_all_agree_the_interval_does_not_close():
    for labels, edge in ((["s", "s"] * 30, "high"), (["s", "t"] * 30, "low")):
        found = agreement(tabulate(["a", "b"] * 30, [(str(i // 2),) for i in range(60)], labels))
        assert found.mean in (0, 1) and getattr(found, edge) == found.mean and found.high - found.low == pytest.approx(0.114, abs=0.01)


@pytest.mark.parametrize("figure", ["agreement", "alpha", "ordinal", "interval", "kappa", "quadratic"])
def test_planted_disagreement_is_seen(figure):
    """Nothing may compare a vote with itself, keys with keys, or people with their own habits only."""
    statistic = {
        "agreement": agreement,
        "alpha": lambda votes: alpha(votes, draws=200),
        "ordinal": lambda votes: alpha(votes, "ordinal", draws=200),
        "interval": lambda votes: alpha(votes, "interval", draws=200),
        "kappa": lambda votes: kappa(votes, draws=200),
        "quadratic": lambda votes: kappa(votes, "quadratic", draws=200),
    }[figure]
    random = np.random.default_rng(0)
    truth = random.integers(1, 8, 200)
    items = [(f"i{i}",) for i in range(200)]

    def with_disagreement(share):
        other = np.where(random.random(200) < share, random.integers(1, 8, 200), truth)
        return statistic(tabulate(["a"] * 200 + ["b"] * 200, items * 2, [*truth.tolist(), *other.tolist()]))

    found = [with_disagreement(share) for share in (0.0, 0.3, 0.7, 1.0)]
    assert found[0].mean == 1 and all(x.mean > y.mean + 0.1 for x, y in pairwise(found))
    chance = 1 / 7 if figure == "agreement" else 0
    assert found[3].low < chance < found[3].high
    assert all(x.low < x.mean < x.high for x in found[1:])


def test_ties_count_as_labels_and_not_for_the_ceiling():
    votes = tabulate(["a", "b"] * 3, [(str(i // 2), "x", "y") for i in range(6)], [FIRST, FIRST, TIE, SECOND, TIE, TIE])
    assert agreement(votes).mean == pytest.approx(2 / 3) and agreement(votes.preferring()).mean == 1


def test_implied_accuracy_is_turned_around():
    for q in (0.5, 0.6, 0.836, 0.95, 1.0):
        assert implied_accuracy(q**2 + (1 - q) ** 2) == pytest.approx(q, abs=1e-7)
    assert implied_accuracy(0.726) == pytest.approx(0.836, abs=5e-4), "InstructGPT's"
    assert implied_accuracy(0.49) is None


def test_the_ceiling_is_no_lower_than_what_any_model_reaches():
    """Half of the items are coin flips: then the best model agrees with single labels less than q, and more than people do."""
    random = np.random.default_rng(1)
    p = np.where(random.random(40_000) < 0.45, 0.5, 0.95)
    labels = random.random((40_000, 2)) < p[:, None]
    names = [("s", "t")[int(x)] for x in labels.ravel()]
    votes = tabulate(["a", "b"] * 40_000, [(str(i // 2),) for i in range(80_000)], names)
    found, best = agreement(votes), np.maximum(p, 1 - p).mean()
    assert found.mean < best < ceiling(found).mean == pytest.approx((1 + sqrt(2 * found.mean - 1)) / 2)
    assert ceiling(found).low < ceiling(found).mean < ceiling(found).high
    assert ceiling(None) is None and ceiling(agreement(tabulate(["a", "b"], [("x",)] * 2, ["s", "t"]))) is None


def test_nothing_judged_twice_says_nothing():
    votes = tabulate(["a", "b"], [("x",), ("y",)], ["s", "t"])
    assert agreement(votes) is None and alpha(votes) is None and kappa(votes) is None and by_prompt(votes) == {}
    same = tabulate(["a", "b"] * 5, [(str(i // 2),) for i in range(10)], ["s"] * 10)
    assert alpha(same) is None and kappa(same) is None and agreement(same).mean == 1


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_the_bootstrap_covers_a_mean(method):
    hits = 0
    for seed in range(200):
        x = stream("covers", seed).exponential(1.0, 40)
        found = bootstrap(lambda w, x=x: float(w @ x / w.sum()), 40, 40, method, draws=300, seed=seed)
        hits += found.low <= 1.0 <= found.high
    assert 176 <= hits <= 197


def test_bca_is_scipys():
    from scipy import stats

    x = stream("bca").exponential(1.0, 60)
    statistic = lambda w: float(w @ x / w.sum())  # noqa: E731
    oracle = stats.bootstrap((x,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(0)).confidence_interval
    ours = bootstrap(statistic, 60, 60, "bca", draws=20_000)
    assert (ours.low, ours.high) == pytest.approx((oracle.low, oracle.high), abs=0.012)
    plain = bootstrap(statistic, 60, 60, "percentile", draws=20_000)
    assert ours.low > plain.low + 0.01, "the skew moves it"
    jackknife = np.array([np.delete(x, i).mean() for i in range(60)])
    apart = jackknife.mean() - jackknife
    assert acceleration(statistic, 60) == pytest.approx((apart**3).sum() / (6 * (apart**2).sum() ** 1.5), rel=1e-9)


def test_blocks_have_the_acceleration_of_single_groups():
    x = stream("blocks").exponential(1.0, 4000)
    exact = ((x - x.mean()) ** 3).sum() / (6 * ((x - x.mean()) ** 2).sum() ** 1.5)
    assert acceleration(lambda w: float(w @ x / w.sum()), 4000) == pytest.approx(exact, rel=0.6)


def test_a_draw_depends_on_its_number_alone():
    assert (drawn(50, 3, 7) == drawn(50, 3, 7)).all() and drawn(50, 3, 7).sum() == 50
    assert (drawn(50, 3, 7) != drawn(50, 3, 8)).any() and (drawn(50, 3, 7) != drawn(50, 4, 7)).any()
    votes = rated(0)
    assert alpha(votes) == alpha(votes) != alpha(votes, seed=1)


def test_one_prompt_says_nothing_about_the_spread():
    found = alpha(tabulate(["a", "b"] * 2, [("p", "x"), ("p", "x"), ("p", "y"), ("p", "y")], [1, 1, 2, 3]))
    assert found.low == -np.inf and found.high == np.inf and found.clusters == 1


@pytest.mark.parametrize(("people", "items", "overlap"), [(200, 33_334, 3), (50, 10_000, 10)])
def test_a_hundred_thousand_votes_agree_as_often_as_those_who_gave_them_are_right(people, items, overlap):
    """Two people agree where both are right or both wrong; of two labels, each as frequent, alpha = kappa = 2 x agreement - 1."""
    votes, _, bad_W = crowd(0, people, items, overlap)
    q_W = np.where(bad_W, 0.05, 0.836)
    expected = float(np.mean([a * b + (1 - a) * (1 - b) for a, b in combinations(q_W, 2)]))
    found = agreement(votes)
    assert found.mean == pytest.approx(expected, abs=0.004) and found.low < found.mean < found.high < found.low + 0.02
    for measure in (alpha(votes), kappa(votes)):
        assert measure.mean == pytest.approx(2 * expected - 1, abs=0.008)
    assert len(with_others(votes)) == people
