"""Where another program answers: a server of the team's or a company's, spoken to as OpenAI's is. Settings alone; `core.asking` asks."""

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Interval

from tutelage.core.errors import UserError


@dataclass(frozen=True)
class Endpoint:
    """A server, one of its models, and how hard it may be asked."""

    url: str
    """Where it answers, with its path: http://127.0.0.1:8000/v1."""
    model: str
    """The model's name there."""
    key: str | None = None
    """The environment variable that holds its API key, such as OPENAI_API_KEY; the key itself is never written down. null: none is sent."""
    together: Annotated[int, Interval(ge=1, le=512)] = 8
    """Requests on their way at the same time; 1-512."""
    timeout: Annotated[float, Gt(0.0)] = 120.0
    """Seconds to wait for one answer."""
    tries: Annotated[int, Ge(1)] = 6
    """Times that one request is sent, where the answer is 429, 5xx, no JSON, or doesn't come; pauses grow from half a second to 30."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url: an address such as http://127.0.0.1:8000/v1 is wanted")
        if parts.username or parts.password or parts.query:
            raise ValueError("url: holds more than an address; a key is read from the environment variable that `key` names")
        if self.key is not None and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.key):
            raise ValueError("key: the name of an environment variable in capitals is wanted, such as OPENAI_API_KEY, never the key itself")

    @property
    def host(self) -> str:
        """As people are told of it: api.openai.com, 127.0.0.1:8000."""
        return urlsplit(self.url).netloc

    @property
    def at(self) -> str:
        """`url` without a slash at its end."""
        return self.url.rstrip("/")

    @property
    def here(self) -> bool:
        """Is it a program on this machine?"""
        name = urlsplit(self.url).hostname or ""
        try:
            return ip_address(name).is_loopback
        except ValueError:
            return name == "localhost"

    def secret(self) -> str | None:
        """The key. UserError where the environment has none."""
        if self.key is None:
            return None
        found = os.environ.get(self.key, "").strip()
        if not found:
            raise UserError(f"{self.host} wants a key: set the environment variable {self.key} to it")
        return found
