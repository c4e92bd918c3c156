"""Published families from a hub id, through sft, reward, dpo and ppo of a recipe, to folders that plain transformers loads.

Random weights of some ten thousand numbers, so nothing is claimed about what is learnt; but every family's own tokenizer, template, end,
pad and config go the whole way, from a server that answers as the hub does.
"""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from tests.families import FAMILIES, gemma3_seeing, save, seeing
from tests.hub import Hub
from tests.models.hub.conftest import hub  # noqa: F401  (a fixture)
from tests.recipes.heard import Heard
from tests.recipes.pages import page
from tutelage.core.text import Message, Prompt, Response
from tutelage.data.batch import pack
from tutelage.data.render import Renderer
from tutelage.models.attention import TREE
from tutelage.models.policy import Policy
from tutelage.models.readable import use
from tutelage.models.roles import Role
from tutelage.models.weights import load as load_weights
from tutelage.models.weights import load_head, weights_hash
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import Outcome, run

PAGE = """\
schema: 1
model: someone/FAMILY
inputs: {demonstrations: DIR/demonstrations.jsonl, preferences: DIR/preferences.jsonl, prompts: DIR/prompts.jsonl}
stages:
  sft:    {method: sft, data: demonstrations, epochs: 1, step_tokens: 400}
  reward: {method: reward, init: sft, preferences: preferences, demonstrations: null, batch: 4}
  dpo:    {method: dpo, init: sft, preferences: preferences, batch: 4, adapter: {rank: 2}}
  ppo:    {method: ppo, init: sft, reward_model: reward, prompts: prompts, split: all, updates: 1, max_tokens: 6, probe_every: 0,
           rollouts: {prompts: 4, samples: 2}}
"""
ASKED = ("Who are you?", "Where is the sea?", "Count to three.", "Say yes.", "What is blue?", "Name a bird.", "Is it late?", "Why?")


def inputs(folder: Path) -> None:
    rows = {
        "demonstrations": [{"prompt": asked, "response": f"It is {n}, I think."} for n, asked in enumerate(ASKED)],
        "preferences": [{"prompt": asked, "chosen": f"Gladly: {n}.", "rejected": "No!"} for n, asked in enumerate(ASKED)],
        "prompts": [{"prompt": asked} for asked in ASKED],
    }
    for name, held in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in held))


def aligned(hub: Hub, family: str, folder: Path) -> Outcome:  # noqa: F811
    """The recipe's run, from the family's repository."""
    save(family, folder / "repository", shards=True)
    hub.push(f"someone/{family}", folder / "repository")
    inputs(folder)
    return run(load(page(folder, PAGE.replace("FAMILY", family).replace("DIR", str(folder)))), folder / "run")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_goes_from_its_hub_id_to_plain_transformers(family: str, hub: Hub, tmp_path: Path) -> None:  # noqa: F811
    outcome, its = aligned(hub, family, tmp_path), FAMILIES[family]
    seen = {outcome.artifacts[stage].results["weights"] for stage in ("sft", "reward", "dpo", "ppo")}
    assert len(seen) == 4, "every stage has learnt something"
    prompt = Prompt((Message("user", ("Is it é late?",)),))
    for stage in ("sft", "dpo", "ppo"):
        folder = outcome.artifacts[stage].path / "model"
        plain, words = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
        assert weights_hash(plain) == outcome.artifacts[stage].results["weights"], "what was learnt is what is loaded, to the bit"
        assert (words.eos_token, words.pad_token) == (its.ends, its.pad) and plain.config.eos_token_id == words.eos_token_id
        tree = Renderer(words, 512).tree(prompt, [Response("Yes, é."), Response("No")])
        network, _ = load_weights(folder, torch.float32)
        use(network, TREE)
        read = Policy({"policy": Role(network)}).read(pack([tree]), ("logp",))["logp"].detach()
        alone = torch.cat([spoken(plain, tree.prompt, answer) for answer in tree.responses])
        assert torch.allclose(read, alone, atol=2e-5), (read - alone).abs().max()
        stops = plain.generation_config.eos_token_id
        kept = {words.convert_tokens_to_ids(stop) for stop in its.stops or (its.ends,)}
        assert set(stops if isinstance(stops, list) else [stops]) == kept | {words.eos_token_id}, (
            "a server stops where the published model does"
        )
    check_reward(outcome.artifacts["reward"].path / "model", prompt)


def spoken(model: torch.nn.Module, prompt: tuple[int, ...], answer: tuple[int, ...]) -> torch.Tensor:
    """Log-probabilities of an answer's tokens in plain transformers."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1)[torch.arange(len(answer)), torch.tensor(answer)]


def check_reward(folder: Path, prompt: Prompt) -> None:
    """The score of plain transformers is ours, up to the two constants that the folder names; where there is a pad, of padded rows too."""
    scored, words = AutoModelForSequenceClassification.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    trees = [Renderer(words, 512).tree(prompt, [Response(text)]) for text in ("Yes, é.", "No")]
    rows = [tree.prompt + tree.responses[0] for tree in trees]
    if words.pad_token_id is None:
        batches = [[row] for row in rows]
    else:
        longest = max(map(len, rows))
        batches = [[row + (words.pad_token_id,) * (longest - len(row)) for row in rows]]
    with torch.no_grad():
        raw = torch.cat([scored(torch.tensor(batch)).logits[:, 0] for batch in batches])
    network, _ = load_weights(folder, torch.float32)
    use(network, TREE)
    read = Policy({"policy": Role(network, None, load_head(folder))}).read(pack(trees), ("score",))["score"].detach()
    told = json.loads((folder / "score.json").read_text())
    assert torch.allclose((raw - told["score_shift"]) * told["score_scale"], read, atol=1e-4)


def test_an_image_text_model_is_trained_as_its_language_part(hub: Hub, tmp_path: Path) -> None:  # noqa: F811
    sees = seeing(tmp_path / "repository", gemma3_seeing, "gemma3")
    hub.push("someone/sees", tmp_path / "repository")
    inputs(tmp_path)
    only = "\n".join(PAGE.splitlines()[:5]).replace("FAMILY", "sees").replace("DIR", str(tmp_path)) + "\n"
    heard = Heard()
    outcome = run(load(page(tmp_path, only), ["stages.sft.rates.learning_rate=1e-12"]), tmp_path / "run", heard)
    made = outcome.artifacts["sft"]
    assert made.results["architecture"] == "Gemma3ForCausalLM"
    assert any("Gemma3ForConditionalGeneration: its language part is learnt and saved" in note for note in heard.notes)
    plain, ids = AutoModelForCausalLM.from_pretrained(made.path / "model"), torch.tensor([[5, 6, 7, 40, 41]])
    assert type(plain).__name__ == "Gemma3ForCausalLM"
    assert torch.allclose(plain(ids).logits, sees(input_ids=ids).logits, atol=1e-4), "hardly learnt, so still the same"
