"""PPO, through the product's own stage, comes within 5 % of the exact optimum of what it is trained for.

The prompt "name one animal" has 32 answers with known rewards; the optimum pi ~ ref exp(r / beta) and its value are known exactly
from the reference's probabilities, and so is the value of the trained policy: no sampling error is in the comparison.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import tutelage
from tutelage.core.run import Run
from tutelage.core.text import Response
from tutelage.data.render import Renderer
from tutelage.models import weights
from tutelage.models.policy import Policy
from tutelage.models.roles import Role
from tutelage.rollouts.reading import read_responses
from tutelage.synthetic.enumerable import ANSWERS, PROMPT, objective, optimum, outcomes, rewards

BETA = 0.3

RECIPE = """
schema: 1
model: {{new: nano}}
inputs: {{text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: {prompts}}}
stages:
  base: {{method: pretrain, data: text, tokens: 60000}}
  sft:  {{method: sft, init: base, data: demonstrations, tokens: 100000}}
  ppo:
    method: ppo
    init: sft
    prompts: prompts
    split: all
    reward_model: "enumerable_reward:reward"
    kl_coef: {beta}
    updates: 150
    max_tokens: 8
    probe_every: 0
    rollouts: {{prompts: 16, samples: 16, epochs: 2, minibatches: 2, cut_score: null}}
    rates: {{learning_rate: 1.0e-3, schedule: linear, warmup: 0.02}}
    value_rates: {{learning_rate: 2.0e-3, schedule: linear, warmup: 0.0}}
"""
RULE = """
from tutelage.synthetic import enumerable

def reward(prompt, response):
    return enumerable.reward(response.text, response.finished)
"""


def probabilities(folder: Path) -> np.ndarray:
    """[33] of each answer with its end, and of everything else."""
    model, tokenizer = weights.load(folder, torch.float32)
    render = Renderer(tokenizer)
    tree = render.tree(PROMPT, [Response(answer) for answer in ANSWERS])
    logp = read_responses(Policy({"policy": Role(model)}, tokenizer), [tree], ("logp",))["logp"]
    return outcomes(np.exp([response.sum() for response in logp]))


@pytest.mark.long
def test_ppo_reaches_the_exact_optimum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "enumerable_reward.py").write_text(RULE)
    (tmp_path / "prompts.jsonl").write_text(json.dumps({"prompt": PROMPT.last}) + "\n")
    (tmp_path / "enumerable.yaml").write_text(RECIPE.format(prompts="prompts.jsonl", beta=BETA))
    tutelage.run("./enumerable.yaml", tmp_path / "run")
    view = Run.view(tmp_path / "run")
    folders = {stage: view.find(stage, view.current()[stage]).path / "model" for stage in ("sft", "ppo")}
    reference, policy = probabilities(folders["sft"]), probabilities(folders["ppo"])
    best = optimum(reference, rewards(), BETA)
    start, reached = (objective(p, reference, rewards(), BETA) for p in (reference, policy))
    assert reached > best.value - 0.05 * abs(best.value), (start, reached, best.value)
    assert reached - start > 0.8 * (best.value - start), (start, reached, best.value)
