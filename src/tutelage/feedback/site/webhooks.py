"""Webhooks: every event of the study posted to a URL, in order, at least once, without any answer waiting for it.

One thread for each hook reads the events after a cursor that lies in the database, posts them one by one and moves the cursor after
each 2xx; so a receiver that was away gets what it missed, also after a restart, and one that is slow holds up no other. Each post
carries `Tutelage-Signature: t=SECONDS,v1=HEX`, the HMAC-SHA256 of "SECONDS.BODY" under the hook's secret (the form that Stripe made
common), and the event's id, by which a receiver recognises what it was sent twice.
"""

import hmac
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from tutelage.core.errors import Interrupted, UserError
from tutelage.feedback.metadata import METADATA
from tutelage.feedback.site.exports import plain
from tutelage.feedback.store import Store
from tutelage.feedback.store.database import Database
from tutelage.feedback.store.tables import events

FIRST_WAIT, LONGEST_WAIT, TIMEOUT = 1.0, 300.0, 10.0
"""Seconds: after the first failure, after many, and for one answer."""
REST = 1.0
"""Seconds between looks at a store in which nothing was new."""

hooks = sa.Table("hooks", METADATA, sa.Column("url", sa.Text, primary_key=True), sa.Column("told", sa.BigInteger, nullable=False))


@dataclass(frozen=True)
class Hook:
    """Where events go."""

    url: str
    secret: str
    kinds: tuple[str, ...]
    """Of events that it is told."""


@dataclass
class Sender:
    """Sends one hook its events until it is stopped."""

    hook: Hook
    store: Store
    database: Database
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"webhook {self.hook.url}", daemon=True)

    def start(self) -> None:
        """Begin. A hook that is new hears of what happens from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End after the post that is under way."""
        self._stop.set()
        self._thread.join(TIMEOUT + 5)

    def step(self) -> tuple[int, str]:
        """Post what happened since the cursor, until something fails: how many events were passed, and why it stopped, if it did."""
        passed = 0
        try:
            for event in self.store.events(after=cursor(self.database, self.hook.url)):
                if self._stop.is_set():
                    break
                fault = post(self.hook, event.id, plain(event), time.time()) if event.kind in self.hook.kinds else ""
                if fault:
                    return passed, f"webhook {self.hook.url}: {fault}; it will be tried again"
                move(self.database, self.hook.url, event.number)
                passed += 1
        except (Interrupted, UserError) as error:
            return passed, f"webhook {self.hook.url}: {error}"
        return passed, ""

    def _run(self) -> None:
        wait, last = FIRST_WAIT, ""
        while not self._stop.is_set():
            passed, fault = self.step()
            if fault and fault != last:
                self.say(fault)
            last, wait = fault, FIRST_WAIT if passed or not fault else min(wait * 2, LONGEST_WAIT)
            self._stop.wait(wait if fault else REST)


def signature(secret: str, body: bytes, at: int) -> str:
    """The header's value for a body sent at a Unix second."""
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, sha256).hexdigest()}"


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
        with urllib.request.build_opener(_Stay).open(request, timeout=TIMEOUT) as answer:
            return "" if 200 <= answer.status < 300 else f"answered {answer.status}"
    except urllib.error.HTTPError as error:
        return f"answered {error.code}"
    except (OSError, ValueError) as error:
        return str(error)


class _Stay(urllib.request.HTTPRedirectHandler):
    """A receiver that moved is told to whoever runs the study; events don't follow it to wherever."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


def cursor(database: Database, url: str) -> int:
    """The number of the last event that a hook was told of; for a new hook the last there is."""
    with database.turn(durable=False) as connection:
        hooks.create(connection, checkfirst=True)
        there = connection.execute(sa.select(hooks.c.told).where(hooks.c.url == url)).scalar()
        if there is None:
            there = connection.execute(sa.select(sa.func.coalesce(sa.func.max(events.c.number), 0))).scalar_one()
            connection.execute(hooks.insert().values(url=url, told=there))
    return int(there)


def move(database: Database, url: str, number: int) -> None:
    """Note that a hook was told of an event."""
    with database.turn(durable=False) as connection:
        connection.execute(hooks.update().where(hooks.c.url == url).values(told=number))
