"""An objective in one file outside of the package: found by its import path, held to the invariants, and shown as it is in CONTRIBUTING."""

from pathlib import Path

import pytest

from tutelage.engine.invariants.bench import Bench
from tutelage.engine.invariants.checks import CHECKS
from tutelage.recipes import methods, recipe

HERE = Path(__file__).parent


@pytest.fixture
def simpo(monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    return methods.objective("simpo:SimPO", "here")


@pytest.mark.parametrize("check", CHECKS)
def test_it_holds_the_invariants(check, simpo):
    outcome = CHECKS[check](simpo(), Bench(adapter="lora"))
    assert outcome.holds, outcome


def test_a_length_of_the_micro_batch_is_caught(simpo):
    class Wrong(simpo):
        def loss(self, read, batch):
            whole = len(batch.rows_M)
            return super().loss(read, batch.with_columns(length_R=batch["length_R"] * 0 + whole))

    assert not CHECKS["split"](Wrong(), Bench()).holds


def test_a_recipe_trains_it(simpo):
    override = "stages.dpo={method: simpo:SimPO, init: sft, preferences: preferences, beta: 2.0, gamma: 0.5}"
    step = recipe.load("instructgpt", [override]).steps["dpo"]
    assert step.objective == simpo(beta=2.0, gamma=0.5)


def test_the_page_shows_this_file():
    assert (HERE / "simpo.py").read_text() in (HERE.parents[1] / "CONTRIBUTING.md").read_text()
