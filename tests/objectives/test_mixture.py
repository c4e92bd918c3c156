from dataclasses import dataclass, replace

import pytest
import torch

from tests.rollouts.table import Table
from tutelage.data.batch import pack
from tutelage.data.tree import POLICY, Tree
from tutelage.objectives.mixture import Mixture, Part, with_text
from tutelage.objectives.objective import Objective
from tutelage.objectives.ppo import PPO


@dataclass(frozen=True)
class Text(Objective):
    """Mean NLL, with a joint statistic over its own batches so that `prepare` is exercised."""

    needs = ("logp",)
    prepare_needs = ("entropy",)

    @property
    def terms(self):
        return {"nll": 1.0}

    def collate(self, trees):
        batch = pack(trees)
        return batch.counting(nll=float(len(batch.rows_M)))

    def prepare(self, reads, batches):
        total = sum(read["entropy"].sum() for read in reads)
        return [{"joint": total} for _ in batches]

    def loss(self, read, batch):
        return {"nll": -read["logp"].sum()}

    def specimens(self):
        return [Tree((), ((3, 9, 4, 7),)), Tree((5,), ((6, 8),))]


MIXED = with_text("ppo", PPO(), Text(), 0.5)


def test_terms_sums_and_counts_carry_the_name_of_their_part_and_its_weight():
    assert MIXED.terms == {"ppo/policy": 1.0, "ppo/value": 1.0, "ptx/nll": 0.5}
    assert MIXED.needs == ("logp", "value@value") and MIXED.needs_for("ptx") == ("logp",)
    for part in MIXED.parts:
        batch = MIXED.collate([t for t in MIXED.specimens() if t.part == part.name])
        sums = MIXED.loss(Table().read(batch, part.needs), batch)
        assert set(sums) == set(batch.counts) and all(name.startswith(part.name + "/") for name in sums)
        assert {term for term in MIXED.terms if term in sums} == set(part.terms)


def test_the_mixed_gradient_is_the_weighted_sum_of_the_parts_gradients():
    policy = Table()

    def gradient(objective, trees):
        parts = [[t for t in trees if t.part == name] for name in dict.fromkeys(t.part for t in trees)]
        batches = [objective.collate(group) for group in parts]
        sums = [objective.loss(policy.read(b, objective.needs), b) for b in batches]
        total = sum(w * s[term] / b.counts[term] for s, b in zip(sums, batches) for term, w in objective.terms.items() if term in s)
        return torch.autograd.grad(total, [policy.logits["policy"]])[0]

    def doubled(name):
        """All trees, those of one part twice: the denominators of the other part must not notice."""
        return [t for t in MIXED.specimens() for _ in range(2 if t.part == name else 1)]

    alone = gradient(PPO(), PPO().specimens()) + 0.5 * gradient(Text(), Text().specimens())
    for trees in (MIXED.specimens(), doubled("ptx"), doubled("ppo")):
        assert torch.allclose(gradient(MIXED, trees), alone, atol=1e-13, rtol=0)


def test_prepare_runs_each_part_over_all_batches_of_its_own():
    policy = Table()
    groups = [[t] for t in MIXED.specimens()]
    batches = [MIXED.collate(group) for group in groups]
    reads = [policy.read(b, MIXED.for_part(b.part).prepare_needs) for b in batches]
    made = MIXED.prepare(reads, batches)
    text = [n for n, b in enumerate(batches) if b.part == "ptx"]
    assert len(text) == 2
    joint = sum(reads[n]["entropy"].sum() for n in text)
    assert all(torch.allclose(made[n]["joint"], joint) for n in text)
    assert all(made[n] == {} for n in range(len(batches)) if n not in text)


def test_mixed_streams_unknown_parts_and_equal_names_are_refused():
    with pytest.raises(ValueError, match="can't share a stream"):
        MIXED.collate(MIXED.specimens())
    with pytest.raises(ValueError, match="no part 'x'"):
        MIXED.collate([replace(PPO().specimens()[0], part="x")])
    with pytest.raises(ValueError, match="different ones"):
        Mixture((Part("a", PPO()), Part("a", PPO())))


def test_specimens_of_a_mixture_keep_their_writers():
    assert all(POLICY in tree.writers[0] for tree in MIXED.specimens())
