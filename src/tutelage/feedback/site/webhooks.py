"""Webhooks: every event of the study posted to a URL, in order, at least once, without any answer waiting for it.

One thread reads the events after a cursor that lies in the database, posts them one by one and moves the cursor after each 2xx; so
a receiver that was away gets what it missed, also after a restart. Each post carries `Tutelage-Signature: t=SECONDS,v1=HEX`, the
HMAC-SHA256 of "SECONDS.BODY" under the hook's secret (the form that Stripe made common), and the event's id, by which a receiver
recognises what it was sent twice.
"""

import hmac
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

FIRST_WAIT, LONGEST_WAIT, TIMEOUT = 1.0, 300.0, 10.0
"""Seconds: after the first failure, after many, and for one answer."""
GAP = 30.0
"""Seconds after which a number that is missing before a later event is taken for one that was never used (a transaction undone)."""


class Told(Protocol):
    """An event as a webhook tells it."""

    @property
    def number(self) -> int: ...
    @property
    def at(self) -> float: ...


@dataclass(frozen=True)
class Hook:
    """Where events go."""

    url: str
    secret: str
    wants: Callable[[Any], bool]
    """Which events."""


def signature(secret: str, body: bytes, at: int) -> str:
    """The header's value for a body sent at a Unix second."""
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, sha256).hexdigest()}"


def settled(events: Iterable[Any], cursor: int, now: float) -> list[Any]:
    """Of events in the order of their numbers those that may be told: up to the first gap behind the cursor, unless what follows it
    is old. Transactions end in another order than they took their numbers, and a cursor must not pass one that is yet to end."""
    told: list[Any] = []
    for event in events:
        if event.number != cursor + 1 and now - event.at < GAP:
            break
        told.append(event)
        cursor = event.number
    return told


def post(hook: Hook, event_id: str, content: Mapping[str, Any], at: float) -> str:
    """Post one event; "" when it was taken, else why not."""
    body = json.dumps(content, ensure_ascii=False).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "tutelage",
        "Tutelage-Event": event_id,
        "Tutelage-Signature": signature(hook.secret, body, int(at)),
    }
    request = urllib.request.Request(hook.url, data=body, headers=headers, method="POST")
    try:
        with _opener().open(request, timeout=TIMEOUT) as answer:
            return "" if 200 <= answer.status < 300 else f"answered {answer.status}"
    except urllib.error.HTTPError as error:
        return f"answered {error.code}"
    except (OSError, ValueError) as error:
        return str(error)


class _Stay(urllib.request.HTTPRedirectHandler):
    """A receiver that moved is told to whoever runs the study; events don't follow it to wherever."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Stay)


@dataclass
class Sender:
    """Sends until it is stopped. `step` does one round: how many events were told, or why it failed."""

    step: Callable[[], tuple[int, str]]
    say: Callable[[str], None]
    rest: float = 1.0
    """Seconds between rounds that found nothing."""

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(TIMEOUT + 5)

    def _run(self) -> None:
        wait, last = FIRST_WAIT, ""
        while not self._stop.is_set():
            told, fault = self.step()
            if fault and fault != last:
                self.say(fault)
            last = fault
            if not fault and told:
                wait = FIRST_WAIT
                continue
            self._stop.wait(wait if fault else self.rest)
            wait = min(wait * 2, LONGEST_WAIT) if fault else FIRST_WAIT
