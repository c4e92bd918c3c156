"""One, two and four real processes (gloo) learn the same, whatever the objective."""

import functools
import sys
from pathlib import Path

import pytest
import torch

from tests.engine import gloo
from tests.processes import together
from tutelage.engine.invariants.checks import distance
from tutelage.engine.ranks import Ranks

PAIRS = [f"{name} {adapter}" for name, adapter in gloo.PAIRS]
Found = dict[str, dict[str, torch.Tensor]]


@functools.cache
def alone() -> Found:
    return {
        "gradients": gloo.gradients("whole", Ranks()),
        "weights": gloo.weights("whole", Ranks()),
        "rounded": gloo.rounded("whole", Ranks()),
    }


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((size, way), marks=[pytest.mark.long] * ((size, way) != (2, "shards")))
        for way in ("whole", "shards", "shards+")
        for size in (2, 4)
    ],
    ids=lambda p: f"{p[0]}-{p[1]}",
)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """What each of so many processes has."""
    size, way = request.param
    folder: Path = tmp_path_factory.mktemp("gloo")
    together(size, lambda rank: [sys.executable, "-m", "tests.engine.gloo", "learn", str(folder / f"{rank}.pt"), way], timeout=280)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(size)]


@pytest.mark.parametrize("pair", PAIRS)
def test_the_gradient_of_many_is_that_of_one(found: list[Found], pair: str) -> None:
    expected = alone()["gradients"][pair]
    assert expected.dtype == torch.float32 and expected.norm() > 0
    for rank, own in enumerate(found):
        assert distance(own["gradients"][pair].double(), expected.double()) < 1e-6, rank


@pytest.mark.parametrize("pair", PAIRS)
def test_twenty_steps_lead_many_where_they_lead_one(found: list[Found], pair: str) -> None:
    expected = alone()["weights"][pair]
    assert expected.dtype == torch.float64
    for rank, own in enumerate(found):
        assert distance(own["weights"][pair], expected) < 1e-9, rank


@pytest.mark.parametrize("pair", [f"{name} {adapter}" for name, adapter in gloo.ROUNDED])
def test_in_bfloat16_gradients_differ_by_its_rounding_and_what_speaks_by_nothing(found: list[Found], pair: str) -> None:
    exact, speaks = alone()["gradients"][pair].double(), alone()["rounded"][f"{pair} speaks"]
    usual = distance(alone()["rounded"][pair].double(), exact)
    for own in found:
        assert usual / 2 < distance(own["rounded"][pair].double(), exact) < 1.5 * usual
        assert own["rounded"][f"{pair} speaks"].equal(speaks)


def test_a_mean_instead_of_a_sum_is_caught() -> None:
    """The planted fault: as two processes that each divide by their own count."""
    for name in gloo.OBJECTIVES:
        own = gloo.engine(name, gloo.Bench(), "whole", Ranks())
        halves = []
        trees = own.objective.specimens()
        for share in (trees[:1], trees[1:]):
            own.forget()
            own.gradients(share)
            halves.append(gloo.flat(own, gradient=True))
        whole = gloo.flat(_whole(own), gradient=True)
        assert distance((halves[0] + halves[1]) / 2, whole) > 1e-3, name


def _whole(own: gloo.Engine) -> gloo.Engine:
    own.forget()
    own.gradients(own.objective.specimens())
    return own
