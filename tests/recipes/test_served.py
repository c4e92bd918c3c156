"""Reinforcement learning whose responses a server writes, which is given each round's adapter; the server is a stand-in, in a process of
its own."""

from pathlib import Path

import pytest

from tests.recipes.heard import Heard
from tests.recipes.pages import page
from tests.standin import running
from tutelage.core.errors import Interrupted, UserError
from tutelage.core.files import JsonLines
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run

RULE = "tests.recipes.test_served:early"
BASE = """\
schema: 1
model: {new: nano}
inputs: {text: synthetic:text}
stages:
  base: {method: pretrain, data: text, tokens: 8000}
"""
PAGE = f"""\
schema: 1
model: MODEL
inputs: {{prompts: synthetic:prompts}}
stages:
  grpo: {{method: grpo, reward_model: "{RULE}", prompts: prompts, split: all, probe_every: 0, updates: 3, max_tokens: 8, kl_coef: 0.0,
         rollouts: {{prompts: 3, samples: 4, cut_score: null, epochs: 2}}, adapter: {{rank: 2}},
         machine: {{checkpoint_every: 1, precision: float32}}, rates: {{learning_rate: 0.02, warmup: 0.0}},
         sampler: {{url: "URL", model: tiny, push: PUSH, tries: 1, together: 1}}}}
"""


def early(prompt, response):
    """Likes words that stand early in the vocabulary."""
    return sum(i < 200 for i in response.ids) / len(response.ids)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    return run(load(page(folder, BASE)), folder / "run").artifacts["base"].path / "model"


@pytest.fixture(scope="module")
def server(model):
    with running("--model", str(model)) as found:
        yield found


@pytest.fixture(autouse=True)
def honest(server):
    server.tell()
    server.seen()


def recipe(folder: Path, server, model, *changes):
    push = folder / "shared"
    push.mkdir(exist_ok=True)
    return load(page(folder, PAGE.replace("MODEL", str(model)).replace("URL", server.url).replace("PUSH", str(push))), changes)


def figures(done):
    return [row for row in JsonLines(done.artifacts["grpo"].path / "metrics.jsonl").read() if "gap" in row]


def test_each_round_is_sampled_by_the_weights_of_its_own(tmp_path, server, model):
    heard = Heard()
    done = run(recipe(tmp_path, server, model), tmp_path / "run", progress=heard)
    told, seen = figures(done), server.seen()
    assert [row["behind"] for row in told] == [0, 0, 0] and max(row["gap"] for row in told) < 1e-4
    asked = [(path.rpartition("/")[2], body.get("lora_name")) for path, body in seen["seen"] if "lora" in path]
    names = [name for what, name in asked if what == "load_lora_adapter"]
    assert [n.rpartition("-")[0][-6:] for n in names] == ["000000", "000001", "000002"] and len(set(names)) == 3
    assert [name for what, name in asked if what == "unload_lora_adapter"] == names
    assert not seen["adapters"] and not list((tmp_path / "shared").iterdir()), "nothing is left behind"
    rows = JsonLines(done.artifacts["grpo"].path / "sampled-0.jsonl").read()
    assert [row["by"] for row in rows] == [name for name in names for _ in range(12)], "each response names the weights that wrote it"
    assert any("writes the responses; it is sent the ids of the prompts" in note for note in heard.notes)
    assert not any("nats a token" in note for note in heard.notes)


def test_weights_that_are_behind_are_counted_and_show(tmp_path, server, model):
    heard = Heard()
    done = run(recipe(tmp_path, server, model, "stages.grpo.sampler.stale=1"), tmp_path / "run", progress=heard)
    told = figures(done)
    assert [row["behind"] for row in told] == [0, 1, 0]
    assert told[1]["gap"] > 1e-2 > 1e-4 > max(told[0]["gap"], told[2]["gap"]), "what was learnt in between"
    assert told[1]["mismatch_k3"] > 0 and told[1]["weight"] != 1


def test_cut_in_the_middle_it_ends_with_the_same_weights(tmp_path, server, model):
    whole = run(recipe(tmp_path, server, model), tmp_path / "whole")
    asked = len([1 for path, _ in server.seen()["seen"] if path == "/v1/completions"])
    server.tell(faults=[None] * 24 + [500])
    with pytest.raises(Interrupted, match="told to say 500"):
        run(recipe(tmp_path, server, model), tmp_path / "run")
    done = run(recipe(tmp_path, server, model), tmp_path / "run")
    again = len([1 for path, _ in server.seen()["seen"] if path == "/v1/completions"])
    assert done.artifacts["grpo"].results["weights"] == whole.artifacts["grpo"].results["weights"]
    assert again == asked + 1 == 37, "the one that failed is the only one that was sent twice"


def test_another_sampler_is_said_to_be_one(tmp_path, server, model):
    server.tell(lie={"logp": -0.4})
    heard = Heard()
    run(recipe(tmp_path, server, model), tmp_path / "run", progress=heard)
    said = [note for note in heard.notes if "0.40 nats a token away" in note]
    assert len(said) == 1 and "does it serve these very weights" in said[0]


def test_a_server_that_takes_no_adapters_is_told_how_to_begin(tmp_path, server, model):
    server.tell(lie={"fixed": True})
    with pytest.raises(UserError, match=r"--enable-lora --max-lora-rank 2 .*VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"):
        run(recipe(tmp_path, server, model), tmp_path / "run")


def test_an_adapter_that_is_too_large_is_no_passing_failure(tmp_path, server, model):
    """vLLM says 500 of it, as of what passes."""
    with pytest.raises(UserError, match=r"LoRA rank 9 is greater than max_lora_rank 8.*--max-lora-rank 9 \(or more\)"):
        run(recipe(tmp_path, server, model, "stages.grpo.adapter.rank=9"), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("adapter=null",), "sampler.push: only a LoRA adapter"),
        (("adapter.dora=true",), "sampler.push: only a LoRA adapter"),
        (("sampler.push=null",), r"sampler.stale: without push the server would be 2 rounds behind in the last of 3, and 0 are allowed"),
        (("sampler.speaks=llama.cpp",), "only vLLM loads an adapter"),
        (("sampler.key=NOT_SET_ANYWHERE",), "sampler.key: .*NOT_SET_ANYWHERE"),
        (("sampler.cap=0",), "sampler.cap"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_runs(tmp_path, server, model, changes, said):
    with pytest.raises(UserError, match=said):
        recipe(tmp_path, server, model, *(f"stages.grpo.{change}" for change in changes))


def test_whole_weights_may_be_learnt_while_the_server_keeps_its_own(tmp_path, server, model):
    changes = ("adapter=null", "sampler.push=null", "sampler.stale=2")
    done = run(recipe(tmp_path, server, model, *(f"stages.grpo.{change}" for change in changes)), tmp_path / "run")
    assert [row["behind"] for row in figures(done)] == [0, 1, 2]
