"""Rollouts from a server in a process of its own, a stand-in that answers as vLLM and llama.cpp do: what they are, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.recipes.pages import page
from tests.standin import running
from tutelage.core.errors import Interrupted, UserError
from tutelage.core.files import JsonLines
from tutelage.core.text import ask
from tutelage.data.render import Renderer
from tutelage.engine.engine import Engine
from tutelage.models.policy import Policy
from tutelage.models.roles import Role
from tutelage.models.sampling import Sampling
from tutelage.models.weights import load as load_weights
from tutelage.objectives.grpo import GRPO
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run
from tutelage.rollouts.collect import Collector, Phases
from tutelage.rollouts.group import GroupCredit
from tutelage.rollouts.remote import ServerSpeaker, seed_of
from tutelage.rollouts.rewards import RuleReward
from tutelage.rollouts.server import Server, read, request
from tutelage.rollouts.source import Rollouts
from tutelage.rollouts.speaker import RoleSpeaker

PAGE = """\
schema: 1
model: {new: nano}
inputs: {text: synthetic:text}
stages:
  base: {method: pretrain, data: text, tokens: 8000}
"""
ASKED = [ask(f"What is {word}?") for word in ("a", "bread", "the sea", "it")]
PLAN = Phases(prompts=4, samples=3, cut_score=None)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    return run(load(page(folder, PAGE)), folder / "run").artifacts["base"].path / "model"


@pytest.fixture(scope="module")
def server(model):
    with running("--model", str(model)) as found:
        yield found


@pytest.fixture(autouse=True)
def honest(server):
    server.tell()
    server.seen()


class Ours:
    """Our own sampler, at the numbers that the server draws with."""

    def __init__(self, policy, end):
        self.speaker = RoleSpeaker(policy, end)

    def generate(self, prompts, addresses, sampling):
        return self.speaker.generate(prompts, [("server", seed_of(a)) for a in addresses], sampling)


def started(model, speaker=None, cap=None, **changes):
    network, words = load_weights(model, torch.float32)
    render = Renderer(words)
    policy = Policy({"policy": Role(network, None, trains=True)}, words)
    reward = RuleReward("rule", lambda prompt, response: sum(i % 7 for i in response.ids) / len(response.ids), render.decode)
    prompts = [(prompt, render.prompt(prompt)) for prompt in ASKED]
    made = Collector(policy, Ours(policy, render.end), prompts, [reward], Sampling(max_tokens=8), PLAN, GroupCredit(), cap=cap)
    return policy, render, replace(made, **changes, **({"speaker": speaker} if speaker else {}))


def remote(server, render, kept, url=None, **changes):
    settings = Server(**{"url": url or server.url, "model": "tiny", "tries": 2, **changes})
    return ServerSpeaker(settings, render.end, len(render.tokenizer), render.spell, kept)


def far(model, server, tmp_path, **changes):
    policy, render, made = started(model)
    return policy, replace(made, speaker=remote(server, render, tmp_path / "kept.jsonl", **changes), cap=2.0)


@pytest.mark.parametrize("kind", ["vllm", "llama.cpp"])
def test_a_server_that_samples_as_ours_does_gives_our_update(model, server, tmp_path, kind):
    policy, _, ours = started(model)
    again, theirs = far(model, server, tmp_path, speaks=kind)
    one, two = ours.collect(0), theirs.collect(0)
    for a, b in zip(one.groups, two.groups, strict=True):
        assert [r.ids for r in a.rollouts] == [r.ids for r in b.rollouts] and [r.finished for r in a.rollouts] == [
            r.finished for r in b.rollouts
        ]
        assert all(np.allclose(x.logp, y.logp, atol=1e-5) for x, y in zip(a.rollouts, b.rollouts, strict=True))
    assert two.figures["gap"] < 1e-5 and abs(two.figures["weight"] - 1) < 1e-5 and two.figures["capped"] == 0 == two.figures["behind"]
    gradients = [gradient(made, collector) for made, collector in ((policy, ours), (again, theirs))]
    assert gradients[0].norm() > 1e-3 and (gradients[0] - gradients[1]).norm() < 1e-4 * gradients[0].norm()


def gradient(policy, collector):
    """Of the first step, all parameters in a row."""
    Engine(policy, GRPO()).gradients(Rollouts(collector).trees(0))
    return torch.cat([p.grad.flatten() for p in policy.trainable()["policy"]])


@pytest.mark.parametrize(("lie", "weight"), [(0.5, np.exp(-0.5)), (-0.4, np.exp(0.4)), (-3.0, 2.0)])
def test_what_the_server_samples_otherwise_weighs_the_advantage(model, server, tmp_path, lie, weight):
    _, _, ours = started(model)
    _, theirs = far(model, server, tmp_path)
    server.tell(lie={"logp": lie})
    one = ours.collect(0)
    two = theirs.collect(0)
    assert two.figures["gap"] == pytest.approx(abs(lie), abs=1e-5) and two.figures["capped"] == float(lie < -0.7)
    for a, b in zip(one.trees, two.trees, strict=True):
        for x, y in zip(a.columns["advantage"], b.columns["advantage"], strict=True):
            assert np.allclose(np.array(x) * weight, y, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "lie", "said"),
    [
        ("vllm", {"bare": True}, "without token ids and the log-probability of each, .* is no rollout; a vLLM that knows"),
        ("vllm", {"letters": True}, "without token ids"),
        ("llama.cpp", {"bare": True}, "without token ids .*llama.cpp's own server"),
        ("vllm", {"shift": 5}, "reads ids as another tokenizer does"),
        ("llama.cpp", {"shift": 5}, "reads ids as another tokenizer does"),
        ("vllm", {"model": "other"}, "was asked for 'tiny' and answered as 'other'"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(model, server, tmp_path, kind, lie, said):
    server.tell(lie=lie)
    with pytest.raises(UserError, match=said):
        far(model, server, tmp_path, speaks=kind)[1].collect(0)


def test_an_older_vllm_marks_its_ids(model, server, tmp_path):
    server.tell(lie={"old": True})
    assert far(model, server, tmp_path)[1].collect(0).figures["gap"] < 1e-5


def test_a_model_that_it_does_not_have_is_told_of(model, server, tmp_path):
    with pytest.raises(UserError, match=r"for the model 'tni' .*does not exist"):
        _, render, made = started(model)
        replace(made, speaker=remote(server, render, tmp_path / "kept.jsonl", model="tni")).collect(0)


def test_every_request_says_how_to_sample_and_has_a_seed_of_its_own(model, server, tmp_path):
    far(model, server, tmp_path)[1].collect(0)
    bodies = [body for path, body in server.seen()["seen"] if path == "/v1/completions"]
    assert len({body["seed"] for body in bodies}) == len(bodies) == 12
    for body in bodies:
        assert (body["temperature"], body["top_p"], body["top_k"], body["min_p"], body["repetition_penalty"]) == (1, 1, -1, 0, 1)
        assert body["ignore_eos"] and len(body["stop_token_ids"]) == 1 and all(type(i) is int for i in body["prompt"])


def test_what_llama_cpp_was_started_with_samples_nothing():
    """Mirostat would take the place of `samplers`, and log-probabilities would still be those of the bare model."""
    body = request(Server("http://host/v1", "m", speaks="llama.cpp"), "m", [1], 3, 5, 0).body
    assert body and (body["samplers"], body["temperature"], body["mirostat"], body["dynatemp_range"]) == (["temperature"], 1, 0, 0)


def test_what_passes_is_asked_again_and_what_was_said_is_never_asked_twice(model, server, tmp_path):
    server.tell(faults=[None, 429, "garbage", None, 500])
    first = far(model, server, tmp_path)[1].collect(0)
    assert len(server.seen()["seen"]) == 15
    again = far(model, server, tmp_path)[1].collect(0)
    assert not server.seen()["seen"] and again.trees == first.trees
    assert len(JsonLines(tmp_path / "kept.jsonl").read()) == 12
    far(model, server, tmp_path)[1].collect(1)
    assert len(server.seen()["seen"]) == 12, "another round is sampled anew"


def test_a_server_that_dies_in_the_middle_is_asked_for_the_rest(model, tmp_path):
    with running("--model", str(model)) as mortal:
        mortal.tell(faults=[None] * 5 + ["die"])
        with pytest.raises(Interrupted, match="the connection failed"):
            far(model, mortal, tmp_path, together=1, tries=1)[1].collect(0)
        mortal.stop()
        mortal.start()
        phase = far(model, mortal, tmp_path)[1].collect(0)
        assert len(mortal.seen()["seen"]) == 12 - 5 and phase.figures["gap"] < 1e-5


def test_weights_that_are_too_old_are_refused(model, server, tmp_path):
    _, made = far(model, server, tmp_path, stale=1)
    made = replace(made, refresh=made.speaker.refresh)
    assert [made.collect(n).figures["behind"] for n in (0, 1)] == [0, 1]
    with pytest.raises(UserError, match=r"still has the weights of round 0, 2 behind, and 1 are allowed"):
        made.collect(2)


ANSWER = {
    "model": "m",
    "choices": [
        {"text": "x", "finish_reason": "length", "token_ids": [5, 6, 7], "logprobs": {"tokens": ["a"] * 3, "token_logprobs": [-1, -2, -3]}}
    ],
}
SERVER = Server("http://host/v1", "m")


def changed(**choice):
    return {**ANSWER, "choices": [{**ANSWER["choices"][0], **choice}]}


def test_a_response_ends_at_the_first_end_and_nowhere_else():
    said, _ = read(SERVER, "m", ANSWER, (1,), 3, 9)
    assert said.ids == (5, 6, 7) and not said.finished
    said, _ = read(SERVER, "m", ANSWER, (1,), 3, 6)
    assert said.ids == (5, 6) and said.logp == (-1, -2) and said.finished
    with pytest.raises(UserError, match="ended a response after 3 of 8 tokens with id 7, and the end token is 9"):
        read(SERVER, "m", ANSWER, (1,), 8, 9)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (changed(prompt_token_ids=[0, 1]), "read other ids than the prompt's 1"),
        (changed(logprobs={"tokens": ["a"] * 3, "token_logprobs": [-1, -2]}), "without token ids"),
        (changed(logprobs={"tokens": ["a"] * 3, "token_logprobs": [-1, None, -3]}), "without token ids"),
        (changed(logprobs={"tokens": ["a"] * 3, "token_logprobs": [-1, 0.5, -3]}), "without token ids"),
        (changed(token_ids=[]), "without token ids"),
        ({"choices": []}, "without token ids"),
        ({"error": "x"}, "without token ids"),
    ],
)
def test_an_answer_of_another_form_is_refused(answer, said):
    with pytest.raises(UserError, match=said):
        read(SERVER, "m", answer, (1,), 3, 9)


def test_a_response_that_was_broken_off_is_none():
    with pytest.raises(Interrupted, match="broke a response off"):
        read(SERVER, "m", changed(finish_reason="abort"), (1,), 3, 9)


def test_halves_of_letters_that_llama_cpp_keeps_to_itself_are_told_of():
    rows = [{"id": 5, "logprob": -1.0}, {"id": 7, "logprob": -2.0}]
    answer = {"tokens": [5, 6, 7], "content": "é", "completion_probabilities": rows}
    with pytest.raises(UserError, match="no log-probability for 1 of a response's 3 tokens, as of letters that take several tokens"):
        read(Server("http://host/v1", "m", speaks="llama.cpp"), "m", answer, (1,), 3, 9)
