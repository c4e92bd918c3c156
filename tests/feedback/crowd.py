"""A crowd whose truth is known: 20 people, some of whom flip, vote on pairs (the simulation behind the goals of issue "people judge")."""

from itertools import combinations

import numpy as np

from tutelage.core.text import Response, ask
from tutelage.feedback.agreement.votes import FIRST, SECOND, Votes, tabulate
from tutelage.feedback.annotation import Annotation


def crowd(seed=0, people=20, items=2000, overlap=3, honest=0.836, bad=4, bad_q=0.05) -> tuple[Votes, np.ndarray, np.ndarray]:
    """Votes on pairs, the truth by item (0 first, 1 second), and who is bad, by number of worker."""
    random = np.random.default_rng(seed)
    truth_I = random.integers(0, 2, items)
    worker_N = np.argsort(random.random((items, people)), axis=1)[:, :overlap].ravel()
    item_N = np.repeat(np.arange(items), overlap)
    q_W = np.where(np.arange(people) < bad, bad_q, honest)
    right_N = random.random(len(item_N)) < q_W[worker_N]
    label_N = np.where(right_N, truth_I[item_N], 1 - truth_I[item_N])
    names = [f"ann-{w:02}" for w in worker_N]
    votes = tabulate(names, [(f"prompt {i}", "a", "b") for i in item_N], [(FIRST, SECOND)[label] for label in label_N])
    bad_W = np.array([int(name[4:]) < bad for name in votes.workers])
    return votes, truth_I, bad_W


def rated(seed=0, people=6, items=80, most=4, labels=(1, 2, 3, 4, 5, 6, 7), noise=1.2) -> Votes:
    """Numbers by up to `most` people an item, some items by one only; every label occurs."""
    random = np.random.default_rng(seed)
    workers, names, said = [], [], []
    for i in range(items):
        truth = random.uniform(-0.5, len(labels) - 0.5)
        for w in random.choice(people, random.integers(1, most + 1), replace=False):
            workers.append(f"w{w}"), names.append((f"i{i}",))
            said.append(labels[int(np.clip(np.rint(truth + random.normal(0, noise)), 0, len(labels) - 1))])
    return tabulate(workers, names, said)


def auroc(scores, is_bad) -> float:
    """How often a bad one scores below a good one; ties count half."""
    good, bad = scores[~is_bad][:, None], scores[is_bad][None, :]
    return float(((bad < good) + (bad == good) / 2).mean())


def rankings(seed=0, prompts=60, k=4, people=("ann-a", "ann-b", "ann-c"), noise=0.8, flips=(), tie=0.0) -> list[Annotation]:
    """Rankings of k responses by each of `people`; response n's worth is n, so its text says the truth."""
    random = np.random.default_rng(seed)
    made = []
    for prompt in range(prompts):
        responses = tuple(Response(f"answer {prompt} worth {place}") for place in range(k))
        for person in people:
            worth = np.arange(k) * (-1 if person in flips else 1) + random.normal(0, noise, k)
            tiers = [[int(place)] for place in np.argsort(-worth)]
            for upper, lower in combinations(range(k), 2):
                if lower == upper + 1 and random.random() < tie and upper < len(tiers) - 1:
                    tiers[upper : upper + 2] = [tiers[upper] + tiers[upper + 1]]
            shown = tuple(int(place) for place in random.permutation(k))
            made.append(Annotation(ask(f"prompt {prompt}"), responses, "ranking", {"tiers": tiers}, person, shown=shown, seconds=30.0))
    return made
