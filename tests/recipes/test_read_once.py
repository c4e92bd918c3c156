"""The reference of a fixed data set is read once, and nothing that is learnt is changed by it."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from tutelage.core.progress import Silent
from tutelage.core.randomness import stream
from tutelage.data.pieces import batches
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.engine.invariants.bench import Bench, policy
from tutelage.engine.ranks import Ranks
from tutelage.engine.rates import Rates
from tutelage.models.policy import Policy
from tutelage.models.roles import Role
from tutelage.objectives.dpo import DPO
from tutelage.recipes.reference import FILE, LOGP, beginning, load, read, read_once
from tutelage.rollouts.reading import read_responses

MICRO, BATCH = 40, 3


def trees(count=7):
    def ids(n, *lengths):
        draw = stream("read once", n)
        return tuple(tuple(int(i) for i in draw.integers(3, 64, length)) for length in lengths)

    return [
        Tree(ids(n, 2 + n % 3)[0], ids(n, 3, 1 + n % 4)[0:2], columns={"preferences": ((n % 2, 1 - n % 2, 1.0, 0.0, 1.0),)})
        for n in range(count)
    ]


def learner(bench, live):
    """DPO's policy and its reference as it began: a role that is there in every step, or one that is read once."""
    both = policy(bench, ("logp", LOGP), same_reference=True).roles
    made = Policy(both if live else {"policy": both["policy"], **beginning(both["policy"], DPO())})
    return Engine(made, DPO(), {"policy": Rates(1e-2, warmup=0.0)}, MICRO)


def work(folder):
    return SimpleNamespace(name="dpo", dir=folder, progress=Silent())


def places(steps, count=7):
    return [batches(range(count), BATCH, 0, step) for step in range(steps)]


def trained(engine, examples, order):
    told = [engine.step([examples[n] for n in own], step, len(order)) for step, own in enumerate(order)]
    return told, torch.cat([p.detach().flatten() for p in engine.parameters["policy"]])


@pytest.fixture
def traversals(monkeypatch):
    """[(role, tokens)] of everything that is read from here on."""
    seen, hidden = [], Policy._hidden
    monkeypatch.setattr(
        Policy, "_hidden", lambda self, name, batch, plan: seen.append((name, len(batch.tokens_T))) or hidden(self, name, batch, plan)
    )
    return seen


@pytest.mark.parametrize("adapter", ["", "lora", "prefix"])
@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-10), (torch.float32, 1e-6)])
def test_three_epochs_learn_what_reading_it_in_every_step_teaches(dtype, bound, adapter, tmp_path):
    bench, order = Bench("llama", adapter, dtype), places(7)
    told, right = trained(learner(bench, live=True), trees(), order)
    engine = learner(bench, live=False)
    again, found = trained(engine, read_once(work(tmp_path), engine, trees(), order), order)
    assert (found - right).norm() <= bound * right.norm() and (right - trained(learner(bench, True), trees(), order[:1])[1]).norm() > 1e-3
    assert [row["preference"] for row in again] == pytest.approx([row["preference"] for row in told], abs=max(bound, 1e-12) * 10)
    assert "reference" not in engine.policy.roles


@pytest.mark.parametrize("adapter", ["", "lora"])
def test_one_epoch_is_the_same_to_the_bit_and_begins_with_a_reward_of_nothing(adapter, tmp_path):
    bench, order = Bench("llama", adapter, torch.float32, noise=0.0), places(2)
    told, right = trained(learner(bench, live=True), trees(), order)
    engine = learner(bench, live=False)
    again, found = trained(engine, read_once(work(tmp_path), engine, trees(), order), order)
    assert torch.equal(found, right) and again == told and again[0]["reward"] == 0.0


def test_each_tree_that_is_used_is_read_once_and_no_other(traversals, tmp_path):
    engine, every = learner(Bench(), live=False), trees()
    known = read_once(work(tmp_path), engine, every, places(7))
    assert sum(tokens for _, tokens in traversals) == sum(tree.length for tree in every) and {name for name, _ in traversals} == {
        "reference"
    }
    traversals.clear()
    trained(engine, known, places(7))
    assert {name for name, _ in traversals} == {"policy"}
    traversals.clear()
    engine = learner(Bench(), live=False)
    some = read_once(work(tmp_path), engine, every, places(1))  # the file is of other steps
    used = set(places(1)[0])
    assert sum(tokens for _, tokens in traversals) == sum(every[n].length for n in used) and len(used) == BATCH
    assert {n for n, tree in enumerate(some) if LOGP in tree.columns} == used


@pytest.mark.parametrize("order", [places(7), [[3, 1], [5, 3]]], ids=["all", "some"])
def test_what_was_kept_is_not_read_again_and_is_the_same(order, traversals, tmp_path):
    known = read_once(work(tmp_path), learner(Bench(), live=False), trees(), order)
    traversals.clear()
    engine = learner(Bench(), live=False)
    again = read_once(work(tmp_path), engine, trees(), order)
    assert not traversals and again == known and "reference" not in engine.policy.roles
    other = [replace(tree, responses=(tree.responses[0][:-1], tree.responses[1]), writers=(), finished=()) for tree in trees()]
    assert not load(tmp_path / FILE, other) and not load(tmp_path / FILE, trees()[:2]) and not load(tmp_path / "nowhere", trees())


def test_the_column_is_what_the_adapters_base_says(tmp_path):
    engine = learner(Bench(adapter="lora"), live=False)
    role = engine.policy.roles["policy"]
    known = read_once(work(tmp_path), engine, trees(), places(7))
    bare = Policy({"policy": role, "reference": Role(role.network)})
    direct = read_responses(bare, trees(), (LOGP, "logp"))
    laid = [x for tree in known for row in tree.columns[LOGP] for x in row]
    assert laid == pytest.approx([x for rows in direct[LOGP] for x in rows], abs=1e-12)
    assert max(abs(a - b) for a, b in zip(laid, (x for rows in direct["logp"] for x in rows))) > 1e-2


def test_processes_share_the_reading():
    class Half(Ranks):
        def gather(self, own):
            return list(own)

    whole = read(work(None), learner(Bench(), live=False), trees(), places(7))
    parts = []
    for rank in (0, 1):
        engine = learner(Bench(), live=False)
        engine.ranks = Half(rank, 2)
        parts.append(read(work(None), engine, trees(), places(7)))
    assert not parts[0].keys() & parts[1].keys() and parts[0].keys() | parts[1].keys() == whole.keys()
    for place, rows in {**parts[0], **parts[1]}.items():
        assert [list(row) for row in rows] == [pytest.approx(list(row), abs=1e-12) for row in whole[place]]


class WholeKL(DPO):
    """Reads more of its reference than can be kept."""

    @property
    def needs(self):
        return ("logp", "logp@reference", "kl@reference")


def test_a_reference_that_is_read_in_every_step_stays_a_frozen_copy(tmp_path):
    role = policy(Bench(), ("logp",)).roles["policy"]
    made = beginning(role, WholeKL())["reference"]
    assert made.network is not role.network and beginning(role, DPO())["reference"].network is role.network
    engine = Engine(Policy({"policy": role, "reference": made}), WholeKL())
    assert read_once(work(tmp_path), engine, trees(), places(1)) == trees() and "reference" in engine.policy.roles
    assert not list(tmp_path.iterdir())
