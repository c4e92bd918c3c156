"""Dawid-Skene: crowd-kit's numbers, a likelihood that climbs, flippers turned around."""

import numpy as np
import pytest

from tests.feedback.crowd import auroc, crowd
from tutelage.feedback.agreement.votes import FIRST, SECOND, TIE, Votes, tabulate
from tutelage.feedback.reliability.dawid_skene import dawid_skene, mirror_of


def noisy(seed=0, classes=3, people=8, items=300, overlap=5) -> tuple[Votes, np.ndarray]:
    """Words for labels, people with matrices of their own, unequal classes."""
    random = np.random.default_rng(seed)
    truth = random.choice(classes, items, p=np.arange(1, classes + 1) / sum(range(1, classes + 1)))
    tables = np.stack([random.dirichlet(1 + 6 * np.eye(classes)[c], people) for c in range(classes)], 1)
    workers, names, labels = [], [], []
    for i in range(items):
        for w in random.choice(people, overlap, replace=False):
            workers.append(f"w{w}")
            names.append((f"i{i:03}",))
            labels.append("abcdef"[random.choice(classes, p=tables[w, truth[i]])])
    return tabulate(workers, names, labels), truth


def frame(votes: Votes):
    pandas = pytest.importorskip("pandas")
    worker, item = np.array(votes.workers)[votes.worker_N], np.array([i[0] for i in votes.items])[votes.item_N]
    return pandas.DataFrame({"worker": worker, "task": item, "label": np.array(votes.labels)[votes.label_N]})


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("model", ["full", "one_coin"])
def test_it_is_crowd_kits(classes, model):
    kit = pytest.importorskip("crowdkit.aggregation")
    votes, _ = noisy(classes, classes)
    oracle = (kit.DawidSkene if model == "full" else kit.OneCoinDawidSkene)(n_iter=40, tol=-1.0)
    their = oracle.fit_predict_proba(frame(votes)).loc[[i[0] for i in votes.items], list(votes.labels)].to_numpy()
    ours = dawid_skene(votes, model, smoothing=0, tolerance=0, most=40)
    assert np.abs(ours.posterior_IC - their).max() < 1e-9
    assert np.abs(ours.prior_C - oracle.priors_[list(votes.labels)].to_numpy()).max() < 1e-9
    if model == "one_coin":
        skills = oracle.skills_[list(votes.workers)].to_numpy()
        assert np.abs(np.diagonal(ours.confusion_WCL, axis1=1, axis2=2) - skills[:, None]).max() < 1e-9


@pytest.mark.parametrize("model", ["full", "one_coin"])
@pytest.mark.parametrize("smoothing", [0.0, 1.0])
def test_the_posterior_climbs_and_it_converges(model, smoothing):
    for seed in range(3):
        found = dawid_skene(noisy(seed)[0], model, smoothing)
        steps = np.diff(found.log_posterior)
        assert found.converged and len(steps) > 3 and (steps > -1e-8).all()


def test_a_step_that_is_wrong_would_not_climb():
    """The check above bites: mixing true and said up in the last matrix lowers the likelihood."""
    votes, _ = noisy(1)
    found = dawid_skene(votes, smoothing=0)

    def evidence(confusion):
        logs = np.log(found.prior_C) + np.zeros((len(votes.items), 3))
        np.add.at(logs, votes.item_N, np.log(confusion)[votes.worker_N, :, votes.label_N])
        return np.log(np.exp(logs).sum(1)).sum()

    assert evidence(found.confusion_WCL) == pytest.approx(found.log_posterior[-1], abs=1e-5)
    wrong = found.confusion_WCL.transpose(0, 2, 1)
    assert evidence(wrong / wrong.sum(2, keepdims=True)) < evidence(found.confusion_WCL) - 1


@pytest.mark.parametrize("seed", [*range(5), 9931, 40417])
def test_flippers_are_found_and_turned_around(seed):
    votes, truth, bad = crowd(seed)
    found = dawid_skene(votes, mirror=mirror_of(votes))
    majority = ((votes.share_IL[:, 1] > 0.5) == truth).mean()
    recovered = ((found.posterior_IC[:, 1] > 0.5) == truth).mean()
    assert 0.74 < majority < 0.80 and recovered >= 0.93
    assert auroc(found.accuracy_W, bad) >= 0.95 and found.accuracy_W[bad].max() < 0.2


def test_posteriors_are_calibrated():
    votes, truth, _ = crowd(3, items=6000)
    posterior = dawid_skene(votes, mirror=mirror_of(votes)).posterior_IC[:, 1]
    for low, high in ((0.05, 0.35), (0.35, 0.65), (0.65, 0.95)):
        some = (posterior > low) & (posterior < high)
        assert some.sum() > 50 and abs(posterior[some].mean() - truth[some].mean()) < 0.06


def test_without_ties_a_mirror_leaves_one_coin():
    votes, _, _ = crowd(1, items=400)
    mirrored = dawid_skene(votes, mirror=mirror_of(votes))
    assert mirrored.confusion_WCL[:, 0, 0] == pytest.approx(mirrored.confusion_WCL[:, 1, 1], abs=1e-12)
    assert mirrored.prior_C == pytest.approx([0.5, 0.5], abs=1e-12)


def test_which_response_is_called_first_changes_nothing():
    random = np.random.default_rng(5)
    votes, _ = noisy(5)
    labels = [(FIRST, SECOND, TIE)["abc".index(str(votes.labels[v]))] for v in votes.label_N]
    items = [(votes.items[i][0], "x", "y") for i in votes.item_N]
    names = [votes.workers[w] for w in votes.worker_N]
    turned = random.random(len(votes.items)) < 0.5
    swap = {FIRST: SECOND, SECOND: FIRST, TIE: TIE}
    other = [swap[label] if turned[i] else label for label, i in zip(labels, votes.item_N)]
    one, two = tabulate(names, items, labels), tabulate(names, items, other)
    a, b = (dawid_skene(v, mirror=mirror_of(v)).posterior_IC for v in (one, two))
    assert np.abs(a - np.where(turned[:, None], b[:, [1, 0, 2]], b)).max() < 1e-6
    plain = [dawid_skene(v).posterior_IC for v in (one, two)]
    assert np.abs(plain[0] - np.where(turned[:, None], plain[1][:, [1, 0, 2]], plain[1])).max() > 1e-3, "the mirror is what does it"


def test_somebody_who_ties_often_is_believed_about_order():
    """Ties of a person who ties at random say little; the same person's preferences say much."""
    random = np.random.default_rng(2)
    truth = random.integers(0, 2, 900)
    workers, items, labels = [], [], []
    for i, true in enumerate(truth):
        for name, q, tie in (("a", 0.9, 0.02), ("b", 0.9, 0.02), ("c", 0.95, 0.6)):
            label = TIE if random.random() < tie else (FIRST, SECOND)[true if random.random() < q else 1 - true]
            workers.append(name), items.append((str(i), "x", "y")), labels.append(label)
    votes = tabulate(workers, items, labels)
    found = dawid_skene(votes, mirror=mirror_of(votes))
    ties = np.flatnonzero((votes.label_N == 2) & (votes.worker_N == votes.workers.index("c")))
    p = found.posterior_IC[votes.item_N[ties]]
    assert ((p[:, 1] > p[:, 0]) == truth[votes.item_N[ties]]).mean() > 0.85 and found.posterior_IC[:, 2].mean() < 0.2


def test_a_weight_counts_like_votes():
    votes, _, _ = crowd(1, people=5, items=60, bad=1)
    twice = [n for n in range(len(votes)) if votes.workers[votes.worker_N[n]] == "ann-03"]
    order = [*range(len(votes)), *twice]
    names, items = [votes.workers[w] for w in votes.worker_N], [votes.items[i] for i in votes.item_N]
    labels = [votes.labels[v] for v in votes.label_N]
    doubled = tabulate([names[n] for n in order], [items[n] for n in order], [labels[n] for n in order])
    weighted = tabulate(names, items, labels, [2.0 if name == "ann-03" else 1.0 for name in names])
    a, b = dawid_skene(doubled), dawid_skene(weighted)
    assert np.abs(a.posterior_IC - b.posterior_IC).max() < 1e-9 < np.abs(a.posterior_IC - dawid_skene(votes).posterior_IC).max()


def test_three_who_agree_on_a_single_item_are_believed():
    for model in ("full", "one_coin"):
        agreed = tabulate(["a", "b", "c"], [("x", "l", "r")] * 3, [FIRST] * 3)
        assert 0.95 < dawid_skene(agreed, model, mirror=mirror_of(agreed)).posterior_IC[0, 0] < 1
        outvoted = tabulate(["a", "b", "c"], [("x", "l", "r")] * 3, [FIRST, FIRST, SECOND])
        assert 0.6 < dawid_skene(outvoted, model, mirror=mirror_of(outvoted)).posterior_IC[0, 0] < 0.95


def test_few_votes_leave_nobody_certain():
    votes = tabulate(["a", "b", "a"], [("x",), ("x",), ("y",)], ["yes", "no", "yes"])
    found = dawid_skene(votes)
    assert np.isfinite(found.confusion_WCL).all() and (found.confusion_WCL > 0.05).all() and found.converged
    one = dawid_skene(tabulate(["a"], [("x",)], ["yes"]))
    assert one.posterior_IC.tolist() == [[1.0]] and one.accuracy_W.tolist() == [1.0]
    with pytest.raises(ValueError, match="no votes"):
        dawid_skene(tabulate([], [], []))


def mostly_alone(shared=150, alone=6000, seed=0) -> Votes:
    """Pairs by five people of different skill: two on each of the first, one on each of the rest."""
    random = np.random.default_rng(seed)
    workers, items, labels = [], [], []
    for i in range(shared + alone):
        true = random.integers(0, 2)
        for w in random.permutation(5)[: 2 if i < shared else 1]:
            right = random.random() < (0.95, 0.9, 0.8, 0.7, 0.1)[w]
            workers.append(f"w{w}"), items.append((f"i{i}", "a", "b")), labels.append((FIRST, SECOND)[true if right else 1 - true])
    return tabulate(workers, items, labels)


def naive(votes: Votes, steps: int) -> np.ndarray:
    """Accuracies by EM on all items, the lone ones too, of two mirrored labels, each with trust 4 : 1."""
    q_I, accuracy_W, people = votes.share_IL[:, 1], np.zeros(0), len(votes.workers)
    for _ in range(steps):
        right_N = np.where(votes.label_N == 1, q_I[votes.item_N], 1 - q_I[votes.item_N])
        accuracy_W = (np.bincount(votes.worker_N, right_N, people) + 8) / (np.bincount(votes.worker_N, minlength=people) + 10)
        pull_N = np.log(accuracy_W / (1 - accuracy_W))[votes.worker_N] * np.where(votes.label_N == 1, 1, -1)
        q_I = 1 / (1 + np.exp(-np.bincount(votes.item_N, pull_N, len(votes.items))))
    return accuracy_W


def test_a_lone_vote_confirms_nobody():
    """Left in, lone votes hold EM back wherever it stops; what it would go to is what the shared items say."""
    votes = mostly_alone()
    found = dawid_skene(votes, mirror=mirror_of(votes))
    assert found.converged and found.fitted == 150 and len(found.log_posterior) < 200
    apart = [np.abs(naive(votes, steps) - found.accuracy_W).max() for steps in (20, 200, 4000)]
    assert apart[0] > 0.1 and apart[1] > 1e-3 and apart[2] < 1e-6
    stopped = dawid_skene(votes, mirror=mirror_of(votes), tolerance=1e-6)
    assert np.abs(stopped.posterior_IC - found.posterior_IC).max() < 1e-4


@pytest.mark.parametrize("model", ["full", "one_coin"])
@pytest.mark.parametrize("smoothing", [0.0, 1.0])
def test_lone_items_are_judged_by_the_others_fit_and_change_nothing_of_it(model, smoothing):
    votes, _ = noisy(2)
    alone = [
        ("w0", ("lone 0",), "a"),
        ("w0", ("lone 1",), "b"),
        ("w3", ("lone 2",), "b"),
        ("w3", ("lone 2",), "b"),
        ("new", ("lone 3",), "c"),
    ]
    given = [(votes.workers[w], votes.items[i], votes.labels[v]) for w, i, v in zip(votes.worker_N, votes.item_N, votes.label_N)]
    both = tabulate(*map(list, zip(*alone[:2], *given, *alone[2:])))
    without, found = dawid_skene(votes, model, smoothing), dawid_skene(both, model, smoothing)
    place = {item: n for n, item in enumerate(both.items)}
    shared = [place[item] for item in votes.items]
    people = [both.workers.index(name) for name in votes.workers]
    assert np.abs(found.posterior_IC[shared] - without.posterior_IC).max() < 1e-9
    assert np.abs(found.confusion_WCL[people] - without.confusion_WCL).max() < 1e-9 and found.fitted == 300
    assert found.prior_C == pytest.approx(without.prior_C, abs=1e-9)
    for name, said, times, item in (("w0", 0, 1, "lone 0"), ("w0", 1, 1, "lone 1"), ("w3", 1, 2, "lone 2"), ("new", 2, 1, "lone 3")):
        chance = found.prior_C * found.confusion_WCL[both.workers.index(name), :, said] ** times  # twice by one person is alone, too
        assert found.posterior_IC[place[item,]] == pytest.approx(chance / chance.sum(), abs=1e-9)
    trusted = np.eye(3) if smoothing == 0 else np.where(np.eye(3), 4, 1) / 6
    assert found.confusion_WCL[both.workers.index("new")] == pytest.approx(trusted, abs=1e-9)


def test_where_nobody_shares_an_item_the_one_vote_stands():
    labels = [FIRST] * 90 + [SECOND] * 10
    votes = tabulate(["a", "b"] * 50, [(str(n), "x", "y") for n in range(100)], labels)
    for mirror in (None, mirror_of(votes)):
        for model in ("full", "one_coin"):
            found = dawid_skene(votes, model, mirror=mirror)
            assert found.fitted == 0 and found.converged and found.log_posterior == ()
            assert found.posterior_IC[:, 0] == pytest.approx([0.8] * 90 + [0.2] * 10) and found.accuracy_W == pytest.approx([0.8, 0.8])
            plain = dawid_skene(votes, model, smoothing=0, mirror=mirror)
            assert plain.posterior_IC[:, 0] == pytest.approx([1.0] * 90 + [0.0] * 10, abs=1e-9)
    tied = tabulate(["a", "b", "a"], [(str(n), "x", "y") for n in range(3)], [FIRST, SECOND, TIE])
    found = dawid_skene(tied, mirror=mirror_of(tied))
    assert found.posterior_IC == pytest.approx(np.where(np.eye(3), 4, 1) / 6)


def test_a_hundred_thousand_votes():
    votes, truth, _ = crowd(1, people=200, items=33_334, bad=40)
    found = dawid_skene(votes, mirror=mirror_of(votes))
    assert ((found.posterior_IC[:, 1] > 0.5) == truth).mean() > 0.93
