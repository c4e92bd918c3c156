"""What every answer carries and every request must pass, before any page sees it: headers, the size of a body.

Nothing inline runs (`script-src 'self'`), nothing is fetched from elsewhere, no other site may frame a page or learn from the
Referer which invitation was opened.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

LARGEST = 4 << 20
"""Bytes of a request's body: a demonstration of a million characters, percent-encoded, fits."""

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
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class TooLarge(Exception):
    """A body above LARGEST."""


@dataclass(frozen=True)
class Guard:
    """ASGI: adds HEADERS to every answer, and keeps answers about people out of caches."""

    app: App

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                added = HEADERS if b"cache-control" in there else {**HEADERS, "Cache-Control": "no-store"}
                message["headers"] = [*message["headers"], *((k.lower().encode(), v.encode()) for k, v in added.items())]
            await send(message)

        await self.app(scope, receive, with_headers)


async def body_of(stream: Any, declared: str) -> bytes:
    """The whole body of a request. TooLarge: it says, or turns out, to be above LARGEST."""
    if declared.isdigit() and int(declared) > LARGEST:
        raise TooLarge
    parts: list[bytes] = []
    size = 0
    async for part in stream:
        size += len(part)
        if size > LARGEST:
            raise TooLarge
        parts.append(part)
    return b"".join(parts)
