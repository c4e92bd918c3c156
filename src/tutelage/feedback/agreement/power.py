"""How many labels for an interval of a given half-width?

    prompts = (t * sd of a prompt's own figure / half-width)^2,     labels = prompts * people per prompt

A prompt is the unit: its C(K, 2) pairs and its several judgements depend on each other, so what counts is the spread of one prompt's
figure over prompts. For one pair of responses it is a formula (binomial); for rankings it is taken from simulated prompts, whose people
see the responses' worth (normal) through noise (normal) that gives the expected agreement, since pairs of one ranking are correlated in
no simple way. With overlap every further label of a prompt is worth less than the first of a new one; agreement needs two.

The people are a sample too: with P of them whose own rates differ by s (standard deviation), the interval of a win rate can't be
narrower than t s / sqrt(P), however many labels they give. Then the answer is: ask more people.

    of            figure of a prompt
    agreement     share of agreeing pairs of votes on its pairs of responses; expected: that share (0.726 in InstructGPT)
    win_rate      share of judgements that prefer one model; expected: that share
    reward_accuracy  share of labelled pairs that a reward model orders as the label does; expected: that share
"""

from dataclasses import dataclass
from itertools import count
from math import ceil, comb, pi, sin, sqrt
from typing import Literal

import numpy as np
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from tutelage.core.errors import UserError
from tutelage.core.randomness import stream

Figure = Literal["agreement", "win_rate", "reward_accuracy"]
SIMULATED = 4000
"""Prompts simulated for the spread of a ranking's figure."""


@dataclass(frozen=True)
class Power:
    """What it takes."""

    prompts: int
    labels: int
    """Annotations: a ranking of K responses is one."""
    half_width: float
    """Of the interval that this many give."""
    design_effect: float
    """How many times more pairs of responses are needed than if all were independent."""


def needed(
    of: Figure,
    half_width: float,
    expected: float,
    responses: int = 2,
    overlap: int = 1,
    people: int | None = None,
    person_sd: float = 0.0,
    level: float = 0.95,
    seed: int = 0,
) -> Power:
    """Prompts and labels for `half_width` (0.02: two points). UserError for what can't be: an agreement of one person per prompt, a
    share outside (0, 1), people too few for the width."""
    _check(of, half_width, expected, responses, overlap, person_sd)
    sd, pairs = spread(of, expected, responses, overlap, seed)
    z = float(special.ndtri((1 + level) / 2))
    between = _between(level, half_width, people, person_sd)
    prompts = max(2, ceil(z**2 * sd**2 / (half_width**2 - between**2)))
    for _ in range(50):  # Student's t of as many prompts, not the normal
        t = float(special.stdtrit(prompts - 1, (1 + level) / 2))
        more = max(2, ceil(t**2 * sd**2 / (half_width**2 - between**2)))
        if more <= prompts:
            break
        prompts = more
    reached = sqrt((float(special.stdtrit(prompts - 1, (1 + level) / 2)) * sd) ** 2 / prompts + between**2)
    effect = sd**2 * pairs / (expected * (1 - expected))
    return Power(prompts, prompts * overlap, reached, effect)


def spread(of: Figure, expected: float, responses: int, overlap: int, seed: int = 0) -> tuple[float, int]:
    """The standard deviation of one prompt's figure over prompts, and how many (pairs of) judgements are in it."""
    each = comb(overlap, 2) if of == "agreement" else overlap
    if of == "win_rate":
        return sqrt(expected * (1 - expected) / overlap), overlap
    if responses > 2:
        figures = simulated(of, expected, responses, overlap, SIMULATED, seed)
        return float(figures.std(ddof=1)), each * comb(responses, 2)
    if of == "reward_accuracy":
        return _sd_of_accuracy(expected, overlap), each
    return _sd_of_agreement(expected, overlap), each


def simulated(of: Figure, expected: float, responses: int, overlap: int, prompts: int, seed: int = 0) -> np.ndarray:
    """The figure of each of as many prompts whose responses' worth people (and the reward model) see through noise."""
    noise = noise_for(expected)
    random = stream("power", of, seed, responses, overlap)
    worth = random.normal(size=(prompts, 1, responses))
    seers = overlap if of == "agreement" else overlap + 1
    seen = worth + noise * random.normal(size=(prompts, seers, responses))
    upper = np.triu_indices(responses, 1)
    first = seen[:, :, upper[0]] > seen[:, :, upper[1]]
    if of == "reward_accuracy":
        return (first[:, :1] == first[:, 1:]).mean((1, 2))
    ones = first.sum(1)
    alike = ones * (ones - 1) / 2 + (overlap - ones) * (overlap - ones - 1) / 2
    return alike.mean(1) / comb(overlap, 2)


def noise_for(expected: float) -> float:
    """The noise (in standard deviations of worth) at which two who look at the same pair agree that often: for two normal differences
    with correlation r = 1 / (1 + noise^2) it is 1/2 + arcsin(r) / pi (Sheppard 1899)."""
    return sqrt(1 / sin(pi * (expected - 0.5)) - 1)


def _sd_of_agreement(expected: float, overlap: int) -> float:
    """Over prompts with one pair, whose votes are each right with chance q: (C(X, 2) + C(m - X, 2)) / C(m, 2), X binomial."""
    q = (1 + sqrt(2 * expected - 1)) / 2
    x = np.arange(overlap + 1)
    chance = np.array([comb(overlap, k) for k in range(overlap + 1)]) * q**x * (1 - q) ** (overlap - x)
    figure = (x * (x - 1) + (overlap - x) * (overlap - x - 1)) / (overlap * (overlap - 1))
    return float(np.sqrt(chance @ (figure - chance @ figure) ** 2))


def _sd_of_accuracy(expected: float, overlap: int) -> float:
    """Labels of one pair share what the model says: with people and model right with the same chance q, it agrees with X of m."""
    if overlap == 1 or expected <= 0.5:
        return sqrt(expected * (1 - expected) / overlap)
    q = (1 + sqrt(2 * expected - 1)) / 2
    within = q * (1 - q) / overlap
    return sqrt(within + q * (1 - q) * (2 * q - 1) ** 2)


def _between(level: float, half_width: float, people: int | None, person_sd: float) -> float:
    if not people or person_sd == 0:
        return 0.0
    if people == 1:
        raise UserError("one person says nothing of how people differ; ask more, or leave --person-sd out")
    width = _of_people(level, people, person_sd)
    if width >= half_width:
        enough = next(n for n in count(people + 1) if _of_people(level, n, person_sd) < half_width)
        raise UserError(
            f"{people} people whose rates differ by {person_sd:g} leave an interval of ±{width:.3f} however many labels they give; "
            f"ask at least {enough}"
        )
    return width


def _check(of: Figure, half_width: float, expected: float, responses: int, overlap: int, person_sd: float) -> None:
    if of == "agreement" and overlap < 2:
        raise UserError("agreement needs two people on the same prompt; set an overlap of 2 or more")
    if of != "win_rate" and not 0.5 < expected < 1:
        raise UserError(f"expected {expected:g}: an {of.replace('_', ' ')} is above 0.5, which is chance, and below 1")
    if not 0 < expected < 1:
        raise UserError(f"expected {expected:g}: a win rate is between 0 and 1")
    if not 0 < half_width < 0.5:
        raise UserError(f"half-width {half_width:g}: it is a share between 0 and 0.5; two points are 0.02")
    if not 2 <= responses <= 9:
        raise UserError(f"responses {responses}: 2 to 9 are compared")
    if overlap < 1 or person_sd < 0:
        raise UserError("overlap is at least 1, and a standard deviation at least 0")


def _of_people(level: float, people: int, person_sd: float) -> float:
    """Half of the interval that so many people's own rates leave, by Student's t."""
    return float(special.stdtrit(people - 1, (1 + level) / 2)) * person_sd / sqrt(people)
