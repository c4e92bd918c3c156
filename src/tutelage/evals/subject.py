"""A stage's artifact under test: loaded when first needed, asked in chunks, every answer kept (see `answers.py`).

The random numbers of an answer are addressed by (seed, prompt, sample) and not by the model: two stages answer a prompt with the same
numbers, which takes noise out of their difference.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Literal, cast

from tutelage.core.text import Demonstration, Document, Prompt, Response, content_id
from tutelage.data.pieces import cut
from tutelage.data.render import Renderer
from tutelage.data.tree import Tree
from tutelage.evals.answers import Kept, Row
from tutelage.evals.eval import Answer, Material
from tutelage.models.attention import SEPARATE
from tutelage.models.policy import Policy
from tutelage.models.precision import Precision
from tutelage.models.sampler import Sampled, Sampling
from tutelage.rollouts.reading import read_responses
from tutelage.rollouts.speaker import RoleSpeaker


def silent(tokens: int) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Artifact:
    """An artifact as `evals.eval.Subject`.

    `hash` is that of its weights: answers are found again by it. `load` gives a Policy whose role "policy" speaks, or, for a reward
    model, scores. `parent` is the policy it was trained from and kept close to; `judge` the reward model it was trained with.
    """

    stage: str
    hash: str
    load: Callable[[], Policy]
    kept: Kept
    material: Material = field(default_factory=Material)
    kind: Literal["policy", "reward"] = "policy"
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    context: int | None = None
    """Of the model, in tokens; longer documents are read in windows."""
    parent: "Artifact | None" = None
    judge: "Artifact | None" = None
    curve: Sequence[Mapping[str, object]] = ()
    heard: Callable[[int], None] = silent
    """Told how many tokens were read or written, as they are."""

    @cached_property
    def policy(self) -> Policy:
        return self.load()

    @cached_property
    def renderer(self) -> Renderer:
        assert self.policy.tokenizer is not None
        return Renderer(self.policy.tokenizer, self.context)

    def release(self) -> None:
        """Let go of the weights; they are loaded again when needed."""
        for name in ("policy", "renderer"):
            self.__dict__.pop(name, None)

    def answers(self, prompts: Sequence[Prompt], samples: int = 1) -> list[tuple[Answer, ...]]:
        asked = [(prompt, k) for prompt in prompts for k in range(samples)]
        how = [asdict(self.sampling), self.seed, self.context]
        rows = self.kept.fill("answers", self.hash, [f"{p.id}/{k}" for p, k in asked], how, lambda part: self._say(asked, part))
        said = [Answer(row["text"], tuple(row["ids"]), row["finished"], row["nats"]) for row in rows]
        return [tuple(said[n * samples : (n + 1) * samples]) for n in range(len(prompts))]

    def _say(self, asked: Sequence[tuple[Prompt, int]], part: range) -> list[Row]:
        chosen = [asked[n] for n in part]
        ids = [self.renderer.prompt(prompt) for prompt, _ in chosen]
        written = self._generate(ids, [("eval", self.seed, prompt.id, k) for prompt, k in chosen], self.sampling)
        return [
            {
                "prompt": prompt.id,
                "sample": k,
                "text": self.renderer.decode(said.ids),
                "finished": said.finished,
                "ids": list(said.ids),
                "nats": -float(sum(said.logp)),
            }
            for (prompt, k), said in zip(chosen, written, strict=True)
        ]

    def _generate(self, ids: Sequence[tuple[int, ...]], addresses: Sequence[tuple[int | str, ...]], sampling: Sampling) -> list[Sampled]:
        written = RoleSpeaker(self.policy, self.renderer.end).generate(ids, addresses, sampling)
        self.heard(sum(len(said.ids) for said in written))
        return written

    def completions(self, texts: Sequence[str], tokens: int) -> list[str]:
        likeliest = Sampling(temperature=0, max_tokens=tokens)

        def go_on(part: range) -> list[Row]:
            ids = [self.renderer.document(Document(texts[n])).responses[0][:-1] for n in part]
            written = self._generate(ids, [("completion", n) for n in part], likeliest)
            return [{"text": self.renderer.decode(said.ids)} for said in written]

        return [row["text"] for row in self.kept.fill("completions", self.hash, texts, [tokens, self.context], go_on)]

    def nll(self, texts: Sequence[Document | Demonstration]) -> list[tuple[float, int]]:
        def read(part: range) -> list[Row]:
            trees = [self._trees(texts[n]) for n in part]
            flat = [tree for group in trees for tree in group]
            logp = iter(self._read(self.policy, flat, "logp"))
            rows: list[Row] = []
            for group in trees:
                parts = [next(logp) for _ in group]
                rows.append({"nats": -sum(map(sum, parts)), "tokens": sum(map(len, parts))})
            return rows

        rows = self.kept.fill("nll", self.hash, [text_id(text) for text in texts], [self.context], read)
        return [(row["nats"], row["tokens"]) for row in rows]

    def score(self, items: Sequence[tuple[Prompt, tuple[Response, ...]]]) -> list[tuple[float, ...]]:
        def read(part: range) -> list[Row]:
            trees = [self.renderer.tree(*items[n]) for n in part]
            scores = iter(self._read(self.policy, trees, "score"))
            return [{"scores": [next(scores)[0] for _ in tree.responses]} for tree in trees]

        names = [content_id(prompt.id, [[r.id, r.ids, r.tokenizer] for r in responses]) for prompt, responses in items]
        return [tuple(row["scores"]) for row in self.kept.fill("scores", self.hash, names, [self.context], read)]

    def kl(self, prompts: Sequence[Prompt]) -> list[float]:
        """Nats per answer between this policy and its parent: the exact sum over the vocabulary at each token of its own answers."""
        parent = self.parent
        assert parent is not None
        said = self.answers(prompts)
        flat = [(prompt, answer) for prompt, group in zip(prompts, said, strict=True) for answer in group]

        def read(part: range) -> list[Row]:
            roles = {"policy": self.policy.roles["policy"], "reference": parent.policy.roles["policy"]}
            attention = max((self.policy.attention, parent.policy.attention), key=lambda name: name == SEPARATE)  # as both can be read
            both = Policy(roles, self.policy.tokenizer, cast(Precision, self.policy.precision), attention)
            trees = [Tree(self.renderer.prompt(p), (a.ids,), finished=(a.finished,)) for p, a in (flat[n] for n in part)]
            return [{"kl": sum(kl)} for kl in self._read(both, trees, "kl@reference")]

        how = [parent.hash, asdict(self.sampling), self.seed, self.context]
        names = [f"{prompt.id}/{n}" for n, (prompt, _) in enumerate(flat)]
        return [row["kl"] for row in self.kept.fill("kl", self.hash, names, how, read)]

    def _trees(self, text: Document | Demonstration) -> list[Tree]:
        if isinstance(text, Demonstration):
            return self.renderer.demonstration(text)
        tree = self.renderer.document(text)
        return cut(tree, self.context) if self.context else [tree]

    def _read(self, policy: Policy, trees: Sequence[Tree], need: str) -> list[list[float]]:
        """One list of numbers per response."""
        self.heard(sum(tree.length for tree in trees))
        return [numbers.tolist() for numbers in read_responses(policy, trees, (need,))[need]]


def text_id(text: Document | Demonstration) -> str:
    """The id by which a text is found again in every stage."""
    return text.id if isinstance(text, Document) else f"{text.prompt.id}/{text.response.id}"
