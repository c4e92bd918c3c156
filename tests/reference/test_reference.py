"""The readable tellings and the product say the same: losses and gradients in float64, on transformers that both read."""

from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from reference import dpo, ppo, reward
from tutelage.core.text import ask
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.engine.invariants.bench import Bench, policy
from tutelage.engine.invariants.oracle import PLAIN
from tutelage.models.roles import causal
from tutelage.models.sampler import Sampled, Sampling
from tutelage.objectives.dpo import DPO
from tutelage.objectives.ppo import PPO
from tutelage.objectives.reward import Reward
from tutelage.rollouts.collect import Collector, Phases
from tutelage.rollouts.credit import Credit
from tutelage.rollouts.rewards import RewardModel

BENCHES = pytest.mark.parametrize("bench", [Bench("llama"), Bench("gpt2")], ids=lambda b: b.name)
RANKINGS = [
    ([3, 9, 11, 7], [[12, 15, 0], [21, 0], [33, 34, 35, 36, 0], [40, 41, 42]], [(2, 0), (2, 1), (2, 3), (0, 3), (1, 3)]),
    ([3, 5], [[17, 18, 0], [19]], [(1, 0)]),
    ([3, 44], [[45, 0], [46, 47, 0]], []),
    ([8], [[50, 0], [0], [51, 52, 53, 0]], [(0, 1), (0, 2)]),
]


def trees_of_rankings():
    def column(better):
        return {"preferences": tuple((winner, loser, 1 / len(better), 0.0, 1.0) for winner, loser in better)}

    return [Tree(tuple(prompt), tuple(map(tuple, responses)), columns=column(better)) for prompt, responses, better in RANKINGS]


@contextmanager
def plainly(made):
    """Within, the networks are read by plain causal attention, one sequence at a time."""
    for role in made.roles.values():
        causal(role.network).set_attn_implementation(PLAIN)
    yield
    for role in made.roles.values():
        causal(role.network).set_attn_implementation(made.attention)


def words(role):
    return lambda ids: role.network(input_ids=ids[None], use_cache=False).logits[0]


def scores(role):
    return lambda ids: role.head(role.network.base_model(input_ids=ids[None], use_cache=False).last_hidden_state[0])


def agree(made, objective, trees, told):
    """The engine's loss and gradient on `trees` are those of `told()`, a loss of the telling."""
    engine = Engine(made, objective, micro_tokens=20)
    engine.forget()
    sums = engine.gradients(trees)
    weights = [p for parameters in engine.parameters.values() for p in parameters]
    found = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in weights]
    with plainly(made):
        loss = told()
        wanted = torch.autograd.grad(loss, weights, allow_unused=True)
    assert sum(weight * sums[term] for term, weight in objective.terms.items()) == pytest.approx(loss.item(), abs=1e-10)
    pairs = [(a, torch.zeros_like(a) if b is None else b) for a, b in zip(found, wanted)]
    size = sum(b.norm() ** 2 for _, b in pairs) ** 0.5
    assert size > 1e-3
    assert sum((a - b).norm() ** 2 for a, b in pairs) ** 0.5 < 1e-10 * size


@BENCHES
def test_reward(bench):
    made = policy(bench, ("score",))
    agree(made, Reward(), trees_of_rankings(), lambda: reward.loss(scores(made.roles["policy"]), RANKINGS))


@BENCHES
def test_dpo(bench):
    made = policy(bench, ("logp", "logp@reference"))
    own, before = words(made.roles["policy"]), words(made.roles["reference"])
    agree(made, DPO(beta=0.3), trees_of_rankings(), lambda: dpo.loss(own, before, RANKINGS, beta=0.3))


class Recited:
    """A speaker who says what is written here."""

    said = (((12, 15, 0), True), ((33, 34, 35, 36), False), ((0,), True), ((17, 18, 19, 20, 0), True), ((5,), False), ((6, 0), True))

    def generate(self, prompts, addresses, sampling):
        return [Sampled(ids, (-4.0,) * len(ids), finished) for ids, finished in self.said]


@BENCHES
def test_ppo(bench):
    made = policy(bench, ("logp", "logp@reference", "value@value", "score@reward"))
    prompts = [(ask("a"), (3, 9, 11)), (ask("b"), (4,))]
    plan, by = Phases(prompts=2, samples=3), Credit(kl_coef=0.2, discount=0.9, trace=0.8)
    trees = Collector(made, Recited(), prompts, [RewardModel()], Sampling(), plan, by).collect(0).trees
    spoken = [
        (list(tree.prompt), list(ids), finished)
        for tree, said in zip(trees, (Recited.said[:3], Recited.said[3:]))
        for ids, finished in said
    ]
    own, before, judge, value = (
        f(made.roles[r]) for f, r in zip((words, words, scores, scores), ("policy", "reference", "reward", "value"))
    )
    with plainly(made):
        batch = ppo.experience(spoken, own, before, judge, value, kl_coef=0.2, discount=0.9, trace=0.8, cut=-1.0)
    for name in ("logp", "value", "advantage", "return"):
        rows = [row for tree in trees for row in tree.columns[name]]
        assert all(row[name].tolist() == pytest.approx(list(laid), abs=1e-10) for row, laid in zip(batch, rows, strict=True)), name
    # Away from where it was sampled, so that some tokens and values are clipped and some are not.
    with torch.no_grad():
        torch.manual_seed(0)
        for role in ("policy", "value"):
            for p in made.roles[role].parameters():
                p += 0.03 * torch.randn_like(p)
    objective = PPO(clip=0.15, value_clip=0.5, value_coef=0.7)
    told = Engine(made, objective).gradients(list(trees))
    assert 0 < told["clip_share"] < 1 and 0 < told["value_clip_share"] < 1
    agree(made, objective, list(trees), lambda: weighted(*ppo.loss(batch, own, value, clip=0.15, value_clip=0.5)))


def weighted(policy_loss, value_loss):
    return policy_loss + 0.7 * value_loss


def test_the_reward_scale_puts_demonstrations_at_zero_and_samples_at_one():
    made = policy(Bench("gpt2"), ("score",))
    model = scores(made.roles["policy"])
    demonstrations, samples = [(p, r[0]) for p, r, _ in RANKINGS], [(p, r[1]) for p, r, _ in RANKINGS]
    with plainly(made):
        made.roles["policy"].head.calibrate(*map(float, reward.scale(model, demonstrations, samples)))
        shown, drawn = (torch.stack([reward.score(model, *row) for row in rows]).detach() for rows in (demonstrations, samples))
    assert shown.mean().item() == pytest.approx(0, abs=1e-12) and drawn.std(correction=0).item() == pytest.approx(1, abs=1e-12)


def test_a_telling_that_is_off_by_one_token_is_caught(monkeypatch):
    """The planted fault: the value after each token instead of the one before it."""
    monkeypatch.setattr(ppo, "values", lambda model, prompt, response: model(torch.tensor(prompt + response))[len(prompt) :])
    with pytest.raises(AssertionError):
        test_ppo(Bench("gpt2"))


@pytest.mark.parametrize("telling", [reward, dpo, ppo], ids=lambda module: module.__name__)
def test_a_telling_imports_only_torch_and_learns_when_it_is_run(telling, capsys):
    lines = Path(telling.__file__).read_text().splitlines()
    assert {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))} <= {"torch", "copy"}
    with torch.random.fork_rng():
        telling.main()
    said = capsys.readouterr().out.splitlines()
    first, last = (float(line.split(": ")[1].split()[0]) for line in (said[0], said[-1]))
    assert last > first + 0.2
