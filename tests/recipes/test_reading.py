"""Stages on models and adapters out of the ordinary, through recipes: what they leave, and what they say."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import OpenAIGPTConfig, OpenAIGPTLMHeadModel

import tutelage
from tests.cli.batch import command
from tutelage.core.errors import UserError
from tutelage.core.run import Run
from tutelage.core.text import ask
from tutelage.data.render import Renderer
from tutelage.data.tree import Tree
from tutelage.models import weights
from tutelage.models.adapters import parameters, wrap
from tutelage.models.create import Dimensions, new
from tutelage.models.loading import load_role
from tutelage.models.policy import Policy
from tutelage.models.prefix import Prefix, has_prefix
from tutelage.models.roles import Role
from tutelage.models.tokenizer import words
from tutelage.recipes import material
from tutelage.recipes.sources import Input
from tutelage.rollouts.reading import read_responses

SAID = ["ada", "is", "home", "bo", "sees", "her", "now", "then"]
TOKENIZER = words(SAID, 128)


def folder(at: Path, family: str = "llama") -> Path:
    """A small model."""
    if family == "openai-gpt":
        size = {"n_positions": 128, "n_embd": 32, "n_layer": 2, "n_head": 2, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        model = OpenAIGPTLMHeadModel(OpenAIGPTConfig(vocab_size=len(TOKENIZER), **size)).eval()
    else:
        model = new(Dimensions(width=32, layers=2, heads=2, context=128), TOKENIZER, seed=0)
    weights.save(model, TOKENIZER, at)
    return at


def inputs(at: Path) -> str:
    rows = [(f"{a} {b}", f"{b} home", f"{a} now") for a in SAID for b in SAID]
    demos, prefs = at / "demos.jsonl", at / "prefs.jsonl"
    demos.write_text("".join(json.dumps({"prompt": p, "completion": good}) + "\n" for p, good, _ in rows))
    prefs.write_text("".join(json.dumps({"prompt": p, "chosen": good, "rejected": bad}) + "\n" for p, good, bad in rows))
    return f"{{demos: {demos}, prefs: {prefs}}}"


def recipe(at: Path, family: str, stages: str, more: str) -> Path:
    """A page with those of sft, reward, dpo and evaluate that are named; `more` goes into each stage that trains."""
    lines = {
        "sft": f"{{method: sft, data: demos, epochs: 1, {more}}}",
        "reward": f"{{method: reward, preferences: prefs, demonstrations: demos, {more}}}",
        "dpo": f"{{method: dpo, preferences: prefs, {more}}}",
        "evaluate": "{method: evaluate, models: [sft, reward, dpo], evals: [perplexity, reward_accuracy], "
        "prompts: null, text: null, demonstrations: demos, preferences: prefs}",
    }
    page = at / "page.yaml"
    wanted = "".join(f"  {name}: {lines[name]}\n" for name in stages.split())
    page.write_text(f"schema: 1\nmodel: {folder(at / 'model', family)}\ninputs: {inputs(at)}\nstages:\n{wanted}")
    return page


def results(run: Path, stage: str) -> dict:
    return {a.stage: a for a in Run.view(run).artifacts()}[stage].results


def test_a_model_that_reads_no_trees_is_read_separately_and_that_is_said(tmp_path: Path) -> None:
    page = recipe(tmp_path, "openai-gpt", "sft reward dpo", "too_long: refuse")
    told = command("run", page, "--out", tmp_path / "run", folder=tmp_path)
    assert told.code == 0, told.out + told.err
    assert {results(tmp_path / "run", stage)["attention"] for stage in ("sft", "reward", "dpo")} == {"separate"}
    assert " ".join((told.out + told.err).split()).count("OpenAIGPTLMHeadModel has an attention of its own") == 3


@pytest.mark.parametrize("attention", ["auto", "separate"])
def test_a_model_that_reads_trees_may_be_read_either_way(attention: str, tmp_path: Path) -> None:
    page = recipe(tmp_path, "llama", "sft", f"machine: {{attention: {attention}}}")
    tutelage.run(str(page), tmp_path / "run")
    assert results(tmp_path / "run", "sft")["attention"] == {"auto": "packed", "separate": "separate"}[attention]


def test_packed_is_refused_where_it_can_not_be(tmp_path: Path) -> None:
    page = recipe(tmp_path, "openai-gpt", "sft", "machine: {attention: packed}")
    with pytest.raises(UserError, match=r"machine\.attention: packed can't be: OpenAIGPT"):
        tutelage.run(str(page), tmp_path / "run")


def test_dora_through_a_recipe(tmp_path: Path) -> None:
    page = recipe(tmp_path, "llama", "sft reward dpo", "adapter: {dora: true}")
    tutelage.run(str(page), tmp_path / "run")
    for found in (tmp_path / "run" / "artifacts").iterdir():
        assert json.loads((found / "adapter" / "adapter_config.json").read_text())["use_dora"] is True


def test_a_learnt_prefix_through_a_recipe(tmp_path: Path) -> None:
    """Trained, saved, and measured: sft, reward and dpo, and the evals that read."""
    page = recipe(tmp_path, "llama", "sft reward dpo evaluate", "adapter: {kind: prefix, tokens: 4}")
    tutelage.run(str(page), tmp_path / "run")
    base = weights.weights_hash(weights.load(tmp_path / "model")[0])
    for artifact in Run.view(tmp_path / "run").artifacts():
        if artifact.stage == "evaluate":
            continue
        assert json.loads((artifact.path / "adapter" / "adapter_config.json").read_text())["num_virtual_tokens"] == 4
        with pytest.raises(UserError, match="nothing can begin with it"):
            weights.load(artifact.path / "model")
        role, _ = load_role(artifact.path / "model")
        assert has_prefix(role) and (role.head is not None) == (artifact.stage == "reward")
        assert artifact.results["weights"] != base
    assert (next((tmp_path / "run" / "artifacts").glob("evaluate-*")) / "report.json").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("adapter: {kind: prefx}", "'prefx' is not one of lora, prefix, peft; did you mean 'prefix'?"),
        ("adapter: {kind: prefix, rank: 8}", "adapter.rank: unknown setting; known are kind, tokens"),
        ("adapter: {rnk: 8}", "adapter.rnk: unknown setting; did you mean 'rank'?"),
        ("adapter: {kind: prefix, tokens: 0}", "adapter.tokens: "),
    ],
)
def test_wrong_adapters_are_refused_by_their_place(more: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        tutelage.run(str(recipe(tmp_path, "llama", "sft", more)), tmp_path / "run")
    assert said in str(refused.value)


def low(prompt, response) -> float:
    """A rule: likes words that stand early in the vocabulary."""
    return sum(i < 16 for i in response.ids) / len(response.ids)


SAMPLED = "prompts: asked, reward_model: 'tests.recipes.test_reading:low', split: all, probe_every: 0, updates: 2, max_tokens: 8"


def asking(at: Path, stages: str, family: str = "llama") -> Path:
    """A page whose stages sample."""
    (at / "asked.jsonl").write_text("".join(json.dumps({"prompt": f"{a} {b}"}) + "\n" for a in SAID for b in SAID[:3]))
    page = at / "page.yaml"
    named = f"{{asked: {at / 'asked.jsonl'}, demos: {at / 'demos.jsonl'}}}"
    inputs(at)
    page.write_text(f"schema: 1\nmodel: {folder(at / 'model', family)}\ninputs: {named}\nstages:\n{stages}")
    return page


def metrics(run: Path, stage: str) -> list[dict]:
    (found,) = (run / "artifacts").glob(f"{stage}-*/metrics.jsonl")
    return [json.loads(line) for line in found.read_text().splitlines()]


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_a_learnt_prefix_is_trained_on_what_it_says(precision: str, tmp_path: Path) -> None:
    """One prompt and one step a round: what is learnt from lies in its stream as it did when it was credited, so the first log-ratio is 0
    to the last bit."""
    more = (
        f"rollouts: {{prompts: 1, samples: 16, minibatches: 1}}, adapter: {{kind: prefix, tokens: 4}}, machine: {{precision: {precision}}}"
    )
    page = asking(tmp_path, "".join(f"  {name}: {{method: {name}, {SAMPLED}, {more}}}\n" for name in ("ppo", "grpo")))
    tutelage.run(str(page), tmp_path / "run")
    for stage in ("ppo", "grpo"):
        told = metrics(tmp_path / "run", stage)
        assert [row["step"] for row in told] == [1, 2]
        assert told[0]["ratio"] == 1.0 and told[0]["k1"] == 0.0 and told[0]["clip_share"] == 0.0
        assert told[0]["gap"] < (2e-6 if precision == "float32" else 0.1) and told[0]["kl"] != 0.0, (
            "it begins as noise, the reference without"
        )
        (made,) = (tmp_path / "run" / "artifacts").glob(f"{stage}-*")
        begun = wrap(weights.load(tmp_path / "model")[0], Prefix(tokens=4), "policy", 0)
        role, _ = load_role(made / "model")
        now, then = (next(p for p in parameters(network, "policy").values()) for network in (role.network, begun))
        assert now.shape == then.shape and not torch.equal(now, then)


def test_what_it_takes_of_the_context_is_missing_for_prompts(tmp_path: Path) -> None:
    stage = f"  ppo: {{method: ppo, {SAMPLED}, adapter: {{kind: prefix, tokens: 118}}}}\n"
    with pytest.raises(UserError, match="only 2 of the context of 10 are left for prompts"):
        tutelage.run(str(asking(tmp_path, stage)), tmp_path / "run")


def test_a_learnt_prefix_talks(tmp_path: Path) -> None:
    page = recipe(tmp_path, "llama", "sft", "adapter: {kind: prefix, tokens: 4}, rates: {learning_rate: 0.3}")
    tutelage.run(str(page), tmp_path / "run")
    told = command("chat", tmp_path / "run", "sft", "--say", "ada bo", "--temperature", "0", "--max-tokens", "8", folder=tmp_path)
    assert told.code == 0, told.err
    (made,) = (tmp_path / "run" / "artifacts").glob("sft-*")
    model, tokenizer = weights.load(made / "model", bare=True)
    network = PeftModel.from_pretrained(model, str(made / "adapter")).eval()
    render = Renderer(tokenizer)
    prompt = torch.tensor([render.prompt(ask("ada bo"))])
    told_by_peft = {"attention_mask": torch.ones_like(prompt), "do_sample": False, "max_new_tokens": 8, "eos_token_id": render.end}
    said = network.generate(input_ids=prompt, **told_by_peft)[0, prompt.shape[1] :].tolist()
    text = render.decode(said).strip()
    assert told.out.strip() == (text if said[-1] == render.end else f"{text} ...")


def test_a_model_that_keeps_nothing_is_sampled_anew_and_that_is_said(tmp_path: Path) -> None:
    stage = f"  ppo: {{method: ppo, {SAMPLED}, rollouts: {{prompts: 4, samples: 2}}}}\n"
    told = command("run", asking(tmp_path, stage, "openai-gpt"), "--out", tmp_path / "run", folder=tmp_path)
    assert told.code == 0, told.out + told.err
    assert " ".join((told.out + told.err).split()).count("reading everything anew for each (OpenAIGPTLMHeadModel") == 1
    assert metrics(tmp_path / "run", "ppo")[0]["gap"] < 2e-6


VILLAGERS = Input("prompts", "synthetic:prompts", 0)
VILLAGE = """\
schema: 1
model: {new: nano}
inputs: {text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}
stages:
  base:     {method: pretrain, data: text, tokens: 4000}
  sft:      {method: sft, init: base, data: demonstrations, tokens: 2000, epochs: 1, adapter: {kind: prefix, tokens: 4}}
  judged:   {method: label, policy: sft, prompts: prompts, split: label, count: 6, responses: 2, sampling: {max_tokens: 8}}
  evaluate: {method: evaluate, models: [base, sft], evals: [overall], prompts: prompts, text: null, demonstrations: null, count: 9}
"""


def test_what_a_prefix_says_is_judged_and_measured(tmp_path: Path) -> None:
    """Answers are likely under the weights with the prefix, not without; by the same random numbers the base says something else."""
    (tmp_path / "page.yaml").write_text(VILLAGE)
    made = tutelage.run(str(tmp_path / "page.yaml"), tmp_path / "run").artifacts
    assert made["judged"].results["annotations"] == 6
    said = {stage: made[stage].results["weights"][:12] for stage in ("base", "sft")}
    rows = {
        stage: [json.loads(line) for path in (tmp_path / "run" / "answers").glob(f"answers-{at}-*") for line in path.open()]
        for stage, at in said.items()
    }
    assert len(rows["base"]) == len(rows["sft"]) == 9
    assert [row["ids"] for row in rows["base"]] != [row["ids"] for row in rows["sft"]]
    role, tokenizer = load_role(made["sft"].path / "model", torch.float32)
    prompts = {prompt.id: prompt for prompt in material.prompts(VILLAGERS, "eval", 0)}
    trees = [Tree(Renderer(tokenizer).prompt(prompts[row["prompt"]]), (tuple(row["ids"]),)) for row in rows["sft"]]
    nats = torch.tensor([row["nats"] for row in rows["sft"]])
    with_it, without = (
        torch.tensor([-sum(logp) for logp in read_responses(Policy({"policy": speaking}), trees, ("logp",))["logp"]])
        for speaking in (role, Role(role.network))
    )
    assert (with_it - nats).abs().mean() < 0.2 < 1 < (without - nats).abs().mean(), "up to the precision that was decided"
