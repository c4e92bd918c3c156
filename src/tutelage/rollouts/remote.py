"""The role of a policy that speaks from elsewhere: a server by URL in the place of our sampler, and which weights it speaks by.

What a server said can't be replayed, so each response is on disk before anything learns from it, by address (round, prompt, place, sample)
and version: a run that was killed goes on with the same rollouts and asks for the rest alone. Whether the server reads ids as this
tokenizer does shows in the text that it sends beside them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from tutelage.core.asking import Asking, Request
from tutelage.core.errors import UserError
from tutelage.core.files import JsonLines
from tutelage.core.randomness import Key, stream
from tutelage.core.text import content_id
from tutelage.models.sampler import Sampled
from tutelage.models.sampling import Sampling
from tutelage.rollouts import server as wire
from tutelage.rollouts.collect import Alone, Together
from tutelage.rollouts.rollout import Version
from tutelage.rollouts.server import Server

UNLIKE = 0.5
"""Share of responses whose text differs from ours above which the server has another tokenizer: an odd one may be cut within a letter."""


class Pushing(Protocol):
    """How new weights get to the server: `rollouts.pushing.Adapters`."""

    def push(self, number: int) -> str:
        """Give the server the policy's weights of round `number`; the model's name by which they are asked for."""
        ...

    def close(self) -> None:
        """Take them away again."""
        ...


class ServerSpeaker:
    """Samples from `server`. `end`: id of the token that ends a response; `words`: how many ids there are; `spell`: ids to text, special
    tokens too; `kept`: the file of what was said; `pushing`: where the server is given weights, by the process that is `chief`."""

    def __init__(
        self,
        server: Server,
        end: int,
        words: int,
        spell: Callable[[Sequence[int]], str],
        kept: Path,
        pushing: Pushing | None = None,
        chief: bool = True,
        together: Together | None = None,
    ) -> None:
        self.server, self.end, self.words, self.spell = server, end, words, spell
        self.pushing, self.chief, self.together = pushing, chief, together or Alone()
        self.model, self.since = server.model, 0
        self._pushed = False
        self._asking = Asking(server)
        self._kept = JsonLines(kept)
        self._before: dict[str, dict[str, Any]] = {row["id"]: row for row in self._kept.read()}

    def refresh(self, number: int) -> Version:
        """Which weights sample round `number`; the server is given new ones where its own would be too old. UserError where it can't be."""
        due = self.pushing is not None and (not self._pushed or number - self.since > self.server.stale)
        if due:
            name = self.pushing.push(number) if self.chief and self.pushing else ""
            self.model, self.since, self._pushed = self.together.gather([name])[0], number, True
        behind = number - self.since
        if behind > self.server.stale:
            raise UserError(
                f"{self.server.host} still has the weights of round {self.since}, {behind} behind, and {self.server.stale} are allowed; "
                "give it new ones with sampler.push, or allow more with sampler.stale"
            )
        return Version(self.model if self.pushing else str(self.since), behind)

    def close(self) -> None:
        """The server forgets what it was given."""
        if self.pushing and self.chief:
            self.pushing.close()

    def generate(self, prompts: Sequence[Sequence[int]], addresses: Sequence[tuple[Key, ...]], sampling: Sampling) -> list[Sampled]:
        """A response to each prompt, in order. UserError where the server's answers can't be learnt from, Interrupted where it fails."""
        names = [content_id("sampled", self.model, list(a), list(p), sampling.max_tokens) for a, p in zip(addresses, prompts, strict=True)]
        found = {name: _sampled(self._before[name]) for name in names if name in self._before}
        unlike: list[tuple[str, str]] = []

        def heard(n: int, answer: dict[str, Any]) -> None:
            said, text = wire.read(self.server, self.model, answer, prompts[n], sampling.max_tokens, self.end)
            unlike.extend(self._unlike(said, text))
            self._kept.append([{"id": names[n], "ids": said.ids, "logp": said.logp, "finished": said.finished, "by": self.model}])
            found[names[n]] = said

        missing = [n for n, name in enumerate(names) if name not in found]
        if missing:
            self._asking.all(((n, self._request(prompts[n], addresses[n], sampling)) for n in missing), heard)
        if len(unlike) > UNLIKE * len(missing):
            theirs, ours = unlike[0]
            raise UserError(
                f"{self.server.host} reads ids as another tokenizer does: {theirs[:60]!r} there is {ours[:60]!r} here; serve this model"
            )
        return [found[name] for name in names]

    def _request(self, prompt: Sequence[int], address: tuple[Key, ...], sampling: Sampling) -> Request:
        return wire.request(self.server, self.model, prompt, sampling.max_tokens, seed_of(address), self.end)

    def _unlike(self, said: Sampled, text: str) -> list[tuple[str, str]]:
        """The server's text beside ours, where they differ by more than blanks, the end, and a letter that was cut."""
        strange = [i for i in said.ids if i >= self.words]
        if strange:
            raise UserError(f"{self.server.host} sampled id {strange[0]}, and the tokenizer has {self.words}; serve this model")
        ending = self.spell([self.end])
        theirs, ours = (_bare(x, ending) for x in (text, self.spell(said.ids)))
        return [] if theirs == ours else [(text, self.spell(said.ids))]


def seed_of(address: tuple[Key, ...]) -> int:
    """The request's seed: 31 bits, as much as every server takes."""
    return int(stream("server", *address).integers(2**31 - 1))


def _bare(text: str, ending: str) -> str:
    return "".join(text.replace(ending, "").replace("�", "").split())


def _sampled(row: dict[str, Any]) -> Sampled:
    return Sampled(tuple(row["ids"]), tuple(row["logp"]), row["finished"])
