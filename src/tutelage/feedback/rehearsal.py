"""A study rehearsed with simulated people, before money is spent on real ones.

People judge pairs whose truth is known: honest ones are right with chance q, flippers answer the opposite (right with chance
`flipping`), clickers toss a coin, and biased ones take whatever stands first on the screen half of the time. Then the statistics that
the study would show are computed from votes alone and held against the truth: agreement, how much of the truth a majority and
Dawid-Skene recover, and how well each tells the bad from the honest (AUROC: the chance that a bad one scores lower), by Dawid-Skene's
accuracy and by gold items whose answer is known.

Source of the profiles: the annotator simulations common in crowd work, sized as in InstructGPT (q = 0.836 is pairwise agreement 72.6 %).

N votes, I items, W people.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np
from annotated_types import Ge, Interval

from tutelage.core import statistics
from tutelage.core.errors import UserError
from tutelage.core.randomness import stream
from tutelage.core.statistics import Estimate
from tutelage.feedback.agreement.pairwise import agreement
from tutelage.feedback.agreement.votes import FIRST, SECOND, Votes
from tutelage.feedback.reliability.dawid_skene import dawid_skene, mirror_of

Chance = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True)
class Rehearsal:
    """A study: who takes part, and how much each item is asked."""

    items: Annotated[int, Ge(1)] = 2000
    """Pairs of responses."""
    overlap: Annotated[int, Ge(1)] = 3
    """People per item."""
    honest: Annotated[int, Ge(0)] = 16
    """People who are right with chance `accuracy`."""
    accuracy: Chance = 0.836
    flippers: Annotated[int, Ge(0)] = 4
    """People who are right with chance `flipping`."""
    flipping: Chance = 0.05
    clickers: Annotated[int, Ge(0)] = 0
    """People who toss a coin."""
    biased: Annotated[int, Ge(0)] = 0
    """People who take what stands first half of the time, and judge like the honest the other half."""
    gold_rate: Chance = 0.0
    """Gold items beside each person's own, as a share of these."""
    seconds: Annotated[float, Ge(0)] = 37.0
    """Per label; 36.8 is the median of crowd workers on pairs."""
    pay_per_hour: Annotated[float, Ge(0)] = 15.0

    @property
    def people(self) -> int:
        return self.honest + self.flippers + self.clickers + self.biased

    @property
    def labels(self) -> int:
        """Gold included."""
        return round(self.items * self.overlap * (1 + self.gold_rate))

    @property
    def cost(self) -> float:
        return self.labels * self.seconds / 3600 * self.pay_per_hour

    def check(self) -> None:
        """UserError where it can't be held."""
        if self.people < 1 or self.overlap > self.people:
            raise UserError(f"overlap {self.overlap}: there are {self.people} people; nobody judges an item twice")


@dataclass(frozen=True)
class Outcome:
    """One rehearsal's figures, or the mean of several with intervals over repeats; None where there is nothing to say."""

    agreement: float | None
    majority: float
    """Share of the items whose truth a majority has; a tie between labels counts half."""
    dawid_skene: float
    detection: float | None
    """AUROC of Dawid-Skene's accuracy; None where all are honest, or nobody is."""
    gold_detection: float | None
    """AUROC of the share of right gold answers; None without gold."""


def rehearse(study: Rehearsal, repeats: int = 20, seed: int = 0) -> Mapping[str, Estimate | None]:
    """Each of Outcome's figures by name: the mean over repeats, and the interval in which a single study's figure will fall
    (2.5 to 97.5 %). UserError for a study that can't be held."""
    study.check()
    found = [once(study, seed, repeat) for repeat in range(repeats)]
    return {field.name: _range([getattr(outcome, field.name) for outcome in found]) for field in fields(Outcome)}


def once(study: Rehearsal, seed: int, repeat: int) -> Outcome:
    """One rehearsal; it depends on the study, the seed and the number of the repeat alone."""
    votes, truth_I = judged(study, seed, repeat)
    found = agreement(votes)
    fit = dawid_skene(votes, mirror=mirror_of(votes))
    bad_W = np.arange(study.people) >= study.honest
    return Outcome(
        agreement=found.mean if found else None,
        majority=_right(votes.share_IL, truth_I),
        dawid_skene=_right(fit.posterior_IC, truth_I),
        detection=auroc(fit.accuracy_W, bad_W),
        gold_detection=auroc(_gold(study, seed, repeat), bad_W) if study.gold_rate else None,
    )


def judged(study: Rehearsal, seed: int = 0, repeat: int = 0) -> tuple[Votes, np.ndarray]:
    """The votes of one rehearsal, and which response (0 or 1) of each item is the better one."""
    random = stream("rehearsal", seed, repeat)
    truth_I = random.integers(0, 2, study.items)
    worker_N = np.argsort(random.random((study.items, study.people)), axis=1)[:, : study.overlap].ravel()
    item_N = np.repeat(np.arange(study.items), study.overlap)
    right_N = random.random(len(item_N)) < _chances(study)[worker_N]
    label_N = np.where(right_N, truth_I[item_N], 1 - truth_I[item_N])
    swayed_N = (worker_N >= study.people - study.biased) & (random.random(len(item_N)) < 0.5)
    label_N = np.where(swayed_N, random.integers(0, 2, len(item_N)), label_N)  # places are shuffled: what stands first is chance
    items = tuple((f"item {i}", "a", "b") for i in range(study.items))
    return Votes(worker_N, item_N, label_N, names(study), items, (FIRST, SECOND)), truth_I


def names(study: Rehearsal) -> tuple[str, ...]:
    """honest-01, ..., flipper-01, ..., in the order of people's numbers."""
    kinds = (("honest", study.honest), ("flipper", study.flippers), ("clicker", study.clickers), ("biased", study.biased))
    return tuple(f"{kind}-{n:02}" for kind, count in kinds for n in range(1, count + 1))


def auroc(score_W: np.ndarray, bad_W: np.ndarray) -> float | None:
    """How often somebody bad scores lower than somebody good; equal scores count half. None without one of each."""
    good, bad = score_W[~bad_W][:, None], score_W[bad_W][None, :]
    return float(((bad < good) + (bad == good) / 2).mean()) if good.size and bad.size else None


def _chances(study: Rehearsal) -> np.ndarray:
    counts = (study.honest, study.flippers, study.clickers, study.biased)
    return np.repeat([study.accuracy, study.flipping, 0.5, study.accuracy], counts)


def _right(table_IL: np.ndarray, truth_I: np.ndarray) -> float:
    """How often the likelier label is the truth; an even chance counts half."""
    true_I = table_IL[np.arange(len(truth_I)), truth_I]
    return float(((true_I > 0.5) + (np.abs(true_I - 0.5) < 1e-12) / 2).mean())


def _gold(study: Rehearsal, seed: int, repeat: int) -> np.ndarray:
    """The share of gold items that each person gets right."""
    each = max(1, round(study.items * study.overlap * study.gold_rate / study.people))
    chance_W = _chances(study) * np.where(np.arange(study.people) >= study.people - study.biased, 0.5, 1.0)
    chance_W += np.where(np.arange(study.people) >= study.people - study.biased, 0.25, 0.0)
    return stream("rehearsal gold", seed, repeat).binomial(each, chance_W) / each


def _range(values: list[float | None]) -> Estimate | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    low, high = np.quantile(known, [0.025, 0.975]).tolist()
    return Estimate(statistics.mean(known).mean, low, high, len(known), len(known))
