"""What proves who somebody is: invitation links, session cookies, bearer tokens, all signed with the study's secret (itsdangerous).

Nothing of it is stored: each holds a name, a purpose (a link is no cookie), and the number of the person's keys; counting that
number up makes all of a person's links, cookies and tokens worthless at once. A form carries a second proof, made from the session's
own random number (CSRF): another site can make a browser send the cookie, but can't read that number.
"""

import hmac
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, cast

from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer

from tutelage.core.errors import UserError
from tutelage.core.files import write_atomic

Purpose = Literal["invitation", "session", "token"]
LASTS: dict[Purpose, int] = {"invitation": 14 * 86400, "session": 30 * 86400, "token": 180 * 86400}
"""Seconds after which each expires."""

FILLING = b"\0"
"""What no item's name has."""


class Refused(Exception):
    """A link, cookie or token that proves nothing; one sentence for the person who shows it."""


@dataclass(frozen=True)
class Claim:
    """Who somebody says to be, by a signature of ours."""

    person: str
    keys: int
    """The number of the person's keys when it was signed."""
    visit: str = ""
    """The session's random number; empty for links and tokens."""


@dataclass(frozen=True)
class Signer:
    """Signs and reads with one secret."""

    secret: str
    width: int = 0
    """Bytes to which an item's name is filled before it is hidden, so that a reference's length tells nothing: those of the longest."""

    def sign(self, purpose: Purpose, claim: Claim) -> str:
        """A text for a URL, a cookie or a header."""
        return self._serializer(purpose).dumps([claim.person, claim.keys, claim.visit])

    def read(self, purpose: Purpose, text: str) -> Claim:
        """What was signed. Refused: another's signature, another purpose, too old."""
        try:
            said: Any = self._serializer(purpose).loads(text, max_age=LASTS[purpose])
            person, keys, visit = cast(list[Any], said)
        except SignatureExpired as error:
            if purpose == "session":
                raise Refused("Your session on this browser is over. Open your invitation link, or ask for a new one.") from error
            raise Refused(f"This {purpose} has expired. Ask whoever runs the study for a new one.") from error
        except (BadData, ValueError, TypeError) as error:
            what = "link" if purpose == "invitation" else purpose
            raise Refused(f"This {what} is not one of ours, or was cut when it was copied. Open it again as you got it.") from error
        return Claim(str(person), int(keys), str(visit))

    def form(self, visit: str) -> str:
        """The proof that a form of the session `visit` carries."""
        return hmac.new(self.secret.encode(), f"form:{visit}".encode(), sha256).hexdigest()[:32]

    def is_form(self, visit: str, proof: str) -> bool:
        return bool(visit) and hmac.compare_digest(self.form(visit).encode(), proof.encode())

    def hide(self, person: str, item: str) -> str:
        """An item as this person's pages name it: it can be read back, but says nothing, is no other person's, and can't be made up.
        (The synthetic initialization vector of RFC 5297, with HMAC in the place of AES.)"""
        text = item.encode().ljust(self.width, FILLING)
        tag = self._digest(f"item:{person}:".encode() + text)[:12]
        return urlsafe_b64encode(tag + self._covered(tag, text)).decode().rstrip("=")

    def seek(self, person: str, reference: str) -> str:
        """The item that `hide` hid. Refused: it is no reference of this person's."""
        try:
            raw = urlsafe_b64decode(reference + "=" * (-len(reference) % 4))
            tag, text = raw[:12], self._covered(raw[:12], raw[12:])
            item = text.rstrip(FILLING).decode()
        except (ValueError, UnicodeError):
            raise Refused("There is no such item here, or it is not yours.") from None
        if not hmac.compare_digest(tag, self._digest(f"item:{person}:".encode() + text)[:12]):
            raise Refused("There is no such item here, or it is not yours.")
        return item

    def hook(self, url: str) -> str:
        """The secret that a webhook's receiver checks signatures with."""
        return hmac.new(self.secret.encode(), f"hook:{url}".encode(), sha256).hexdigest()

    def _digest(self, said: bytes) -> bytes:
        return hmac.new(self.secret.encode(), said, sha256).digest()

    def _covered(self, tag: bytes, text: bytes) -> bytes:
        blocks = (self._digest(b"cover:" + tag + n.to_bytes(4, "big")) for n in range(-(-len(text) // 32)))
        return bytes(a ^ b for a, b in zip(text, b"".join(blocks)))

    def _serializer(self, purpose: Purpose) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self.secret, salt=f"tutelage.{purpose}", signer_kwargs={"digest_method": sha256})


def new_visit() -> str:
    """A session's random number."""
    return secrets.token_urlsafe(16)


def secret_of(study: Path) -> str:
    """The secret of a study: TUTELAGE_SECRET, else the file STUDY.secret beside the study's, made when there is none (readable by
    its owner alone)."""
    given = os.environ.get("TUTELAGE_SECRET", "")
    if given:
        return _long_enough(given, "TUTELAGE_SECRET")
    path = study.with_suffix(".secret")
    if not path.exists():
        before = os.umask(0o077)
        try:
            write_atomic(path, secrets.token_urlsafe(32) + "\n")
        finally:
            os.umask(before)
    return _long_enough(path.read_text().strip(), str(path))


def _long_enough(secret: str, where: str) -> str:
    if len(secret) < 32:
        raise UserError(f"{where}: a secret has 32 characters or more; this one has {len(secret)}")
    return secret
