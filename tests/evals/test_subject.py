"""A real, tiny model behind the evals: answers are kept, found again, and right."""

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from tutelage.core.text import Demonstration, Document, Response, ask
from tutelage.evals.answers import Kept
from tutelage.evals.subject import Artifact
from tutelage.models.create import Dimensions, new
from tutelage.models.heads import ScalarHead
from tutelage.models.policy import Policy
from tutelage.models.roles import Role
from tutelage.models.sampler import Sampling
from tutelage.models.tokenizer import words

TOKENIZER = words(["cat", "dog", "cow", "red", "blue", ".", "?"], 32)
SIZE = Dimensions(width=32, layers=1, heads=2, context=64)
PROMPTS = [ask("cat ?"), ask("red dog ?"), ask("blue cow . cat ?")]


def network(seed: int) -> PreTrainedModel:
    """A plain transformers model, as its own attention computes it; spread enough that answers differ."""
    model = new(SIZE, TOKENIZER, seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model.eval()


class Loads:
    """Makes the model of a seed, and counts how often."""

    def __init__(self, seed: int, head: bool = False) -> None:
        self.seed, self.head, self.count = seed, head, 0

    def __call__(self) -> Policy:
        self.count += 1
        head = None
        if self.head:
            head = ScalarHead(SIZE.width)
            with torch.no_grad():
                head.weight.copy_(torch.linspace(-1, 1, SIZE.width)[None])
            head.calibrate(0.5, 2.0)
        return Policy({"policy": Role(network(self.seed), head=head)}, TOKENIZER)


def artifact(folder: Path, seed: int = 0, chunk: int = 4, parent: Artifact | None = None, head: bool = False) -> Artifact:
    sampling = Sampling(max_tokens=8)
    kind = "reward" if head else "policy"
    return Artifact(
        f"m{seed}", f"hash{seed}" * 8, Loads(seed, head), Kept(folder, chunk), kind=kind, sampling=sampling, context=64, parent=parent
    )


@torch.no_grad()
def test_answers_are_kept_and_the_model_is_not_loaded_for_them_again(tmp_path: Path):
    said = artifact(tmp_path).answers(PROMPTS, samples=3)
    again = artifact(tmp_path)
    assert again.answers(PROMPTS, samples=3) == said
    assert isinstance(again.load, Loads) and again.load.count == 0
    assert [len(group) for group in said] == [3, 3, 3] and len({a.ids for group in said for a in group}) > 3


@torch.no_grad()
def test_answers_do_not_depend_on_chunks_or_on_who_else_is_asked(tmp_path: Path):
    many = artifact(tmp_path / "a", chunk=2).answers(PROMPTS, samples=2)
    one = artifact(tmp_path / "b", chunk=64).answers(PROMPTS[1:2], samples=2)
    assert [(a.text, a.ids, a.finished) for a in many[1]] == [(a.text, a.ids, a.finished) for a in one[0]]


@torch.no_grad()
def test_an_answer_knows_how_likely_it_was(tmp_path: Path):
    subject = artifact(tmp_path)
    (answer,) = subject.answers(PROMPTS[:1])[0]
    ids = list(subject.renderer.prompt(PROMPTS[0]))
    logits = network(0)(input_ids=torch.tensor([ids + list(answer.ids)])).logits[0]
    logp = logits.log_softmax(-1)[len(ids) - 1 : -1].gather(-1, torch.tensor(answer.ids)[:, None]).sum()
    assert answer.nats == pytest.approx(-float(logp), rel=1e-4)
    assert answer.finished == (answer.ids[-1] == subject.renderer.end)


@torch.no_grad()
def test_nll_is_that_of_plain_transformers_and_documents_longer_than_the_context_are_read_whole(tmp_path: Path):
    subject = artifact(tmp_path)
    short, long = Document("cat dog . red cow ."), Document(" ".join(["cat dog red ."] * 40))
    row = Demonstration(PROMPTS[1], Response("blue ."))
    (nats, tokens), (_, many), (own, taught) = subject.nll([short, long, row])
    tree = subject.renderer.document(short)

    def plain(ids: tuple[int, ...], start: int) -> float:
        logp = network(0)(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        return -float(logp[start - 1 : -1].gather(-1, torch.tensor(ids[start:])[:, None]).sum())

    assert tokens == len(tree.responses[0]) - 1 and nats == pytest.approx(plain(tree.responses[0], 1), rel=1e-4)
    assert many == 160  # 160 words and the end; only the first token of all is predicted by nothing
    prompt = subject.renderer.prompt(PROMPTS[1])
    answer = subject.renderer.demonstration(row)[0].responses[0]
    assert taught == 3 and own == pytest.approx(plain(prompt + answer, len(prompt)), rel=1e-4)


@torch.no_grad()
def test_completions_take_the_likeliest_word(tmp_path: Path):
    subject = artifact(tmp_path)
    (text,) = subject.completions(["cat dog"], 1)
    ids = subject.renderer.document(Document("cat dog")).responses[0][:-1]
    likeliest = int(network(0)(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
    assert text == subject.renderer.decode([likeliest])


@torch.no_grad()
def test_scores_are_in_the_heads_own_scale(tmp_path: Path):
    subject = artifact(tmp_path, head=True)
    items = [(PROMPTS[0], (Response("cat ."), Response("dog ."))), (PROMPTS[1], (Response("red ."),))]
    found = subject.score(items)
    assert [len(row) for row in found] == [2, 1] and found[0][0] != found[0][1]
    tree = subject.renderer.tree(PROMPTS[1], (Response("red ."),))
    hidden = network(0).base_model(input_ids=torch.tensor([tree.prompt + tree.responses[0]])).last_hidden_state
    head = subject.policy.roles["policy"].head
    assert isinstance(head, ScalarHead) and found[1][0] == pytest.approx(float(head(hidden[0, -1:])[0]), rel=1e-4)


@torch.no_grad()
def test_kl_to_itself_is_nothing_and_to_another_is_the_sum_over_the_vocabulary(tmp_path: Path):
    base = artifact(tmp_path, seed=1)
    assert artifact(tmp_path, seed=1, parent=base).kl(PROMPTS) == pytest.approx([0, 0, 0], abs=1e-6)
    subject = artifact(tmp_path, seed=2, parent=base)
    found = subject.kl(PROMPTS)
    (answer,) = subject.answers(PROMPTS)[0]
    prompt = subject.renderer.prompt(PROMPTS[0])
    ids = torch.tensor([prompt + answer.ids])
    p, q = (network(seed)(input_ids=ids).logits[0].log_softmax(-1)[len(prompt) - 1 : -1] for seed in (2, 1))
    assert found[0] == pytest.approx(float((p.exp() * (p - q)).sum()), rel=1e-3) and min(found) > 0


@torch.no_grad()
def test_released_weights_are_loaded_again_when_needed(tmp_path: Path):
    subject = artifact(tmp_path)
    subject.answers(PROMPTS)
    subject.release()
    subject.nll([Document("cat dog .")])
    assert isinstance(subject.load, Loads) and subject.load.count == 2
