"""What every answer carries and every request must pass, before any page sees it: headers, where a POST comes from, the size of a body.

Nothing inline runs (`script-src 'self'`), nothing is fetched from elsewhere, no other site may frame a page or learn from the
Referer which invitation was opened. A form that another site sends here is refused by what the browser says of it (Sec-Fetch-Site), also
one that holds a good link: else a stranger's page could sign somebody in as the stranger. What says nothing (programs, http without TLS
beyond this machine) passes: there the form's proof stands alone.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

LARGEST = 4 << 20
"""Bytes of a request's body: a demonstration of a million characters, percent-encoded, fits."""
PATIENCE = 16 * LARGEST
"""Bytes that are read and thrown away before the answer, since a browser that is cut off while it sends shows no answer at all."""

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


OURS = (b"same-origin", b"none")
"""What a browser says of a POST that one of our pages sent, or a person by hand."""


@dataclass(frozen=True)
class Guard:
    """ASGI: adds HEADERS to every answer, one to a fault of ours too, and keeps answers about people out of caches."""

    app: App
    too_large: App
    """Answers a body above LARGEST."""
    foreign: App
    """Answers a POST from another site's page."""
    broken: App
    """Answers where the app raised; the exception goes on to whoever serves it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                there = {name.lower() for name, _ in message["headers"]}
                added = HEADERS if b"cache-control" in there else {**HEADERS, "cache-control": "no-store"}
                message["headers"] = [*message["headers"], *((name.encode(), value.encode()) for name, value in added.items())]
            await send(message)

        try:
            await self._admit(scope, receive, guarded)
        except Exception:
            if not begun:
                await self.broken(scope, receive, guarded)
            raise

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in ("GET", "HEAD"):
            return await self.app(scope, receive, send)
        if any(name == b"sec-fetch-site" and value not in OURS for name, value in scope["headers"]):
            return await self.foreign(scope, receive, send)
        body = await _body(receive)
        if body is None:
            return await self.too_large(scope, receive, send)
        return await self.app(scope, _once(body, receive), send)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where it is too large, or the sender went away."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size <= LARGEST:
            parts.append(part)
        elif size > PATIENCE:
            return None
    return b"".join(parts) if size <= LARGEST else None


def _once(body: bytes, receive: Receive) -> Receive:
    """The body as one message, then whatever comes."""
    given = False

    async def message() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return message
