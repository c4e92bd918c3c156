"""Rollouts and verdicts from servers as they really are, where they are at hand (tests/servers.py): vLLM, which is given each round's
adapter, and llama.cpp's own. The stand-in of the other tests is held to the form of vLLM's answers."""

import threading
import time
from pathlib import Path

import httpx2
import pytest

from tests import servers, standin
from tests.recipes.heard import Heard
from tests.recipes.pages import page
from tutelage.core.errors import Interrupted, UserError
from tutelage.core.files import JsonLines
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run
from tutelage.rollouts.server import Server, request

pytestmark = pytest.mark.long
PAGE = """\
schema: 1
model: MODEL
inputs: {demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}
stages:
  grpo: {method: grpo, reward_model: "tests.recipes.test_served:early", prompts: prompts, split: all, probe_every: 0, updates: 2,
         max_tokens: 12, kl_coef: 0.0, rollouts: {prompts: 3, samples: 4, cut_score: null, epochs: 2}, adapter: {rank: 2},
         machine: {checkpoint_every: 1, precision: float32}, rates: {learning_rate: 0.02, warmup: 0.0},
         sampler: {url: "URL", model: tiny, tries: 1, together: 2}}
"""
JUDGED = """\
  sft: {method: sft, data: demonstrations, steps: 1, step_tokens: 256}
  judged: {method: label, policy: sft, prompts: prompts, count: 4, responses: 2, task: pair, sampling: {max_tokens: 8}, by: judge,
           judge: {url: "URL", model: tiny, max_tokens: 16}}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return servers.small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def vllm(model, tmp_path_factory):
    with servers.vllm(model, tmp_path_factory.mktemp("vllm") / "log") as found:
        yield found


@pytest.fixture(scope="module")
def hushed(tmp_path_factory):
    return servers.small_model(tmp_path_factory.mktemp("hushed"), halves=False)


def in_a_file(model: Path) -> Path:
    reason = "no writer for llama.cpp (pip install 'tutelage[gguf]')"
    pytest.importorskip("tutelage.models.llamacpp.write", reason=reason).gguf(model, model / "tiny.gguf", "f32")
    return model / "tiny.gguf"


@pytest.fixture(scope="module")
def llama(hushed, tmp_path_factory):
    with servers.llama(in_a_file(hushed), tmp_path_factory.mktemp("llama") / "log") as found:
        yield found


def recipe(folder: Path, server, model, *changes, text=PAGE):
    return load(page(folder, text.replace("MODEL", str(model)).replace("URL", server.url)), [f"stages.{c}" for c in changes])


def pushed(folder: Path) -> str:
    (folder / "shared").mkdir(exist_ok=True)
    return f"grpo.sampler.push={folder / 'shared'}"


def figures(done):
    return [row for row in JsonLines(done.artifacts["grpo"].path / "metrics.jsonl").read() if "gap" in row]


def weights(done) -> str:
    return done.artifacts["grpo"].results["weights"]


def killed_in_the_middle(recipe_, out: Path, server, said: int) -> list[dict]:
    """Runs until `said` responses are on disk, then kills the server; what was on disk."""

    def kill() -> None:
        while not over.is_set() and sum(len(f.read_bytes().splitlines()) for f in out.rglob("sampled-0.jsonl")) < said:
            time.sleep(0.005)
        server.kill()

    over = threading.Event()
    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(Interrupted, match="the connection failed"):
        run(recipe_, out)
    over.set()
    killer.join()
    (kept,) = out.rglob("sampled-0.jsonl")
    server.start()
    return JsonLines(kept).read()


def test_vllm_samples_each_round_by_the_adapter_of_its_own(tmp_path, model, vllm):
    heard = Heard()
    done = run(recipe(tmp_path, vllm, model, pushed(tmp_path)), tmp_path / "run", progress=heard)
    told = figures(done)
    assert [row["behind"] for row in told] == [0, 0] and max(row["gap"] for row in told) < 1e-4
    assert all(abs(row["weight"] - 1) < 1e-3 and row["capped"] == 0 for row in told)
    rows = JsonLines(done.artifacts["grpo"].path / "sampled-0.jsonl").read()
    assert [row["by"].rpartition("-")[0][-6:] for row in rows] == ["000000"] * 12 + ["000001"] * 12
    assert [row["id"] for row in httpx2.get(f"{vllm.url}/models").json()["data"]] == ["tiny"] and not list((tmp_path / "shared").iterdir())
    assert not any("nats a token" in note for note in heard.notes)


def test_vllm_is_killed_in_the_middle_and_the_run_ends_with_the_same_weights(tmp_path, model, vllm):
    asked = recipe(tmp_path, vllm, model, pushed(tmp_path))
    whole = run(asked, tmp_path / "whole")
    before = killed_in_the_middle(asked, tmp_path / "run", vllm, 15)
    assert 15 <= len(before) < 24
    done = run(asked, tmp_path / "run")
    assert JsonLines(done.artifacts["grpo"].path / "sampled-0.jsonl").read()[: len(before)] == before
    assert weights(done) == weights(whole)


def test_without_push_the_second_round_is_of_older_weights(tmp_path, model, vllm):
    done = run(recipe(tmp_path, vllm, model, "grpo.sampler.stale=1"), tmp_path / "run")
    first, second = figures(done)
    assert (first["behind"], second["behind"]) == (0, 1) and first["gap"] < 1e-4 < 1e-2 < second["gap"]


def test_an_adapter_that_vllm_cannot_take_is_no_passing_failure(tmp_path, model, vllm):
    with pytest.raises(UserError, match=r"LoRA rank 16 is greater than max_lora_rank 8.*--max-lora-rank 16 \(or more\)"):
        run(recipe(tmp_path, vllm, model, pushed(tmp_path), "grpo.adapter.rank=16"), tmp_path / "run")


def test_a_judge_that_says_no_verdict_is_none(tmp_path, model, vllm):
    with pytest.raises(UserError, match="8 of 8 answers of tiny hold no verdict, such as"):
        run(recipe(tmp_path, vllm, model, text=PAGE.partition("  grpo")[0] + JUDGED), tmp_path / "run")


def shape(answer):
    """Fields and kinds; of a list, what it holds first."""
    if isinstance(answer, dict):
        return {key: shape(value) for key, value in answer.items()}
    return [shape(answer[0])] if isinstance(answer, list) and answer else type(answer).__name__


def within(part, whole) -> bool:
    """Is every field of `part` in `whole`, of the same kind?"""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and within(value, whole[key]) for key, value in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and within(part[0], whole[0])
    return part == whole


def said(url: str, path: str, body=None):
    return httpx2.request("POST" if body else "GET", f"{url}{path}", json=body, timeout=servers.BEGINS)


def test_the_stand_in_answers_in_the_form_of_vllm(tmp_path, model, vllm):
    sampled = request(Server(vllm.url, "tiny"), "tiny", [10, 11, 12], 5, 7, 0).body
    chat = {"model": "tiny", "messages": [{"role": "user", "content": "<response A>\nYes.\n</response A>"}], "max_tokens": 3}
    nowhere = {"lora_name": "nowhere", "lora_path": "/nowhere"}
    asked = [("/models", None), ("/completions", sampled), ("/completions", {**sampled, "model": "other"}), ("/chat/completions", chat)]
    asked += [("/load_lora_adapter", nowhere), ("/unload_lora_adapter", nowhere), ("/nothing", {"any": 1})]
    with standin.running("--model", str(model)) as stand:
        for path, body in asked:
            theirs, ours = (said(url, path, body) for url in (vllm.url, stand.url))
            assert ours.status_code == theirs.status_code, (path, theirs.text)
            assert within(shape(ours.json()), shape(theirs.json())), (path, ours.text, theirs.text)
        for url in (vllm.url, stand.url):
            whole = said(url, "/completions", sampled).json()["choices"][0]
            ended = said(url, "/completions", {**sampled, "stop_token_ids": whole["token_ids"][-1:]}).json()["choices"][0]
            cut = whole["token_ids"].index(whole["token_ids"][-1]) + 1
            assert (
                whole["finish_reason"] == "length" and ended["finish_reason"] == "stop" and ended["token_ids"] == whole["token_ids"][:cut]
            )
            assert len(ended["text"]) < len(whole["text"]) or not ended["text"], "the end is among the ids and not in the text"


def test_llama_cpp_samples_by_the_weights_that_it_has(tmp_path, hushed, llama):
    done = run(recipe(tmp_path, llama, hushed, "grpo.sampler.speaks=llama.cpp", "grpo.sampler.stale=1"), tmp_path / "run")
    first, second = figures(done)
    assert (first["behind"], second["behind"]) == (0, 1) and first["gap"] < 1e-3 < 1e-2 < second["gap"]


def test_llama_cpp_is_killed_in_the_middle_and_the_run_goes_on(tmp_path, hushed, llama):
    asked = recipe(tmp_path, llama, hushed, "grpo.sampler.speaks=llama.cpp", "grpo.sampler.stale=1")
    before = killed_in_the_middle(asked, tmp_path / "run", llama, 5)
    done = run(asked, tmp_path / "run")
    assert JsonLines(done.artifacts["grpo"].path / "sampled-0.jsonl").read()[: len(before)] == before
    assert figures(done)[0]["gap"] < 1e-3


def test_llama_cpp_without_a_verdict_is_no_judge(tmp_path, hushed, llama):
    with pytest.raises(UserError, match="8 of 8 answers of tiny hold no verdict, such as"):
        run(recipe(tmp_path, llama, hushed, text=PAGE.partition("  grpo")[0] + JUDGED), tmp_path / "run")


def test_llama_cpp_keeps_the_halves_of_letters_to_itself(tmp_path, model):
    with servers.llama(in_a_file(model), tmp_path / "log") as server, pytest.raises(UserError, match="letters that take several tokens"):
        run(recipe(tmp_path, server, model, "grpo.sampler.speaks=llama.cpp", "grpo.sampler.stale=1"), tmp_path / "run")
