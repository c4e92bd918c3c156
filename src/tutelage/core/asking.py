"""Asking a server many things at once over HTTP: JSON there, JSON back, each request as often as it takes.

Sent again, after a pause that doubles (or is what the server says in Retry-After): 408, 429, 5xx, a connection that breaks, an answer
that doesn't come in time or is no JSON. What is left then is the machine's failure (`Interrupted`: run it again); any other refusal is
about what the user said (`UserError`). A key goes into one header and into nothing else: it is cut out of what a server says of it.

Not OpenAI's own client: that one takes credentials from environment variables for whatever address it is given, tells the server about
this machine, and knows nothing of half of what is asked here (docs/decisions.md).
"""

import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import anyio
import httpx2
from anyio.from_thread import start_blocking_portal

from tutelage.core.endpoint import Endpoint
from tutelage.core.errors import Interrupted, UserError
from tutelage.core.offline import offline

Name = TypeVar("Name")
Answer = dict[str, Any]
AGAIN = {408, 425, 429}
FIRST, LONGEST = 0.5, 30.0
"""Seconds of the first pause, and of the longest."""
SAID = 300
"""Characters of a server's complaint that are shown."""


@dataclass(frozen=True)
class Request:
    """`body` None: a GET."""

    path: str
    """Below the server's url, or a whole address."""
    body: Answer | None = None


class Asking:
    """Asks one server; knows its key, and shows it to nobody."""

    def __init__(self, endpoint: Endpoint) -> None:
        if offline() and not endpoint.here:
            raise UserError(f"{endpoint.host} would be asked, and nothing may leave this machine (--offline); give a server on it")
        self.endpoint, self._secret = endpoint, endpoint.secret()

    def __repr__(self) -> str:
        return f"Asking({self.endpoint.host})"

    def one(self, path: str, body: Answer | None = None) -> Answer:
        """The answer to one request; errors as `all`."""
        found: list[Answer] = []
        self.all([(0, Request(path, body))], lambda _, answer: found.append(answer))
        return found[0]

    def all(self, requests: Iterable[tuple[Name, Request]], heard: Callable[[Name, Answer], None]) -> None:
        """Every request, `together` at a time; `heard` is told each answer as it comes, one at a time. The first failure ends the
        others: UserError for what the server refuses, Interrupted where it can't be reached, breaks or stays silent."""
        with start_blocking_portal() as portal:  # a loop of its own: a notebook has one already
            asked = portal.start_task_soon(self._all, iter(requests), heard)
            try:
                failure = asked.result()
            except BaseException:
                asked.cancel()
                raise
        if failure is not None:
            raise failure

    async def _all(self, more: Iterator[tuple[Any, Request]], heard: Callable[[Any, Answer], None]) -> Exception | None:
        failures: list[Exception] = []
        limits = httpx2.Limits(max_connections=self.endpoint.together)
        headers = {"Authorization": f"Bearer {self._secret}"} if self._secret else {}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=self.endpoint.timeout, limits=limits) as client,
            anyio.create_task_group() as group,
        ):

            async def worker() -> None:
                try:
                    for name, request in more:
                        heard(name, await self._one(client, request))
                except Exception as failure:
                    failures.append(failure)
                    group.cancel_scope.cancel()

            for _ in range(self.endpoint.together):
                group.start_soon(worker)
        return failures[0] if failures else None

    async def _one(self, client: httpx2.AsyncClient, request: Request) -> Answer:
        why, pause = "", FIRST
        for attempt in range(self.endpoint.tries):
            if attempt:
                await anyio.sleep(pause * random.uniform(0.5, 1.0))
            try:
                answer = await self._sent(client, request)
            except httpx2.TimeoutException:
                why, pause = f"no answer in {self.endpoint.timeout:g} s", _longer(attempt)
            except (httpx2.TransportError, httpx2.DecodingError) as failure:
                why, pause = f"the connection failed: {failure or type(failure).__name__}", _longer(attempt)
            else:
                if answer.status_code in AGAIN or answer.status_code >= 500:
                    why, pause = self._complaint(answer), _asked_to_wait(answer) or _longer(attempt)
                elif not answer.is_success:
                    raise UserError(self._refused(request, answer))
                elif (found := _object(answer.text)) is not None:
                    return found
                else:
                    why, pause = f"what it answered is no JSON object: {self._safe(answer.text)!r}", _longer(attempt)
        times = "once" if self.endpoint.tries == 1 else f"{self.endpoint.tries} times"
        raise Interrupted(
            f"{self.endpoint.host} was asked {times} for {request.path} in vain ({why}); what it said so far is kept, run again"
        )

    async def _sent(self, client: httpx2.AsyncClient, request: Request) -> httpx2.Response:
        url = request.path if "://" in request.path else f"{self.endpoint.at}{request.path}"
        return await (client.get(url) if request.body is None else client.post(url, json=request.body))

    def _refused(self, request: Request, answer: httpx2.Response) -> str:
        host, key, said = self.endpoint.host, self.endpoint.key, self._complaint(answer)
        if answer.status_code in (401, 403):
            cure = f"see what the environment variable {key} holds" if key else "name the environment variable with its key, as key: NAME"
            return f"{host} lets nobody in without the right key ({said}); {cure}"
        if answer.status_code == 404:
            return f"{host} knows no {request.path} for the model {self.endpoint.model!r} ({said}); is the url right, with its /v1?"
        return f"{host} refuses {request.path} ({said})"

    def _complaint(self, answer: httpx2.Response) -> str:
        whole: Any = _object(answer.text) or {}
        error: Any = whole.get("error", whole.get("message", whole.get("detail")))
        said: Any = cast(Any, error).get("message") if isinstance(error, dict) else error
        return f"{answer.status_code}: {self._safe(str(said or answer.text))}" if said or answer.text else str(answer.status_code)

    def _safe(self, text: str) -> str:
        """What a server said, short, and without the key."""
        whole = " ".join(text.split())
        return (whole.replace(self._secret, "(key)") if self._secret else whole)[:SAID]


def _object(text: str) -> Answer | None:
    """vLLM answers to two of its requests with a sentence: {"said": it}."""
    try:
        found: object = json.loads(text)
    except ValueError:
        return {"said": text} if text.startswith("Success") else None
    if isinstance(found, str):
        return {"said": found}
    return cast(Answer, found) if isinstance(found, dict) else None


def _longer(attempt: int) -> float:
    return min(LONGEST, FIRST * 2**attempt)


def _asked_to_wait(answer: httpx2.Response) -> float | None:
    """Seconds of Retry-After, at most twice our longest pause."""
    try:
        return min(2 * LONGEST, float(answer.headers["retry-after"]))
    except (KeyError, ValueError):  # a date, or nothing
        return None
