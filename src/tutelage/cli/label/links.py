"""What `serve` and `invite` share: a study opened for work, and links to it."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tutelage.cli.label.sampling import answered
from tutelage.core.errors import UserError
from tutelage.feedback.site.signing import Claim, Purpose, Signer, secret_of
from tutelage.feedback.store import Store
from tutelage.feedback.study.desk import Desk
from tutelage.feedback.study.people import People
from tutelage.feedback.study.study import Study, read_study

HERE = "command line"
"""Who stands in the admin's log for what was done here."""


@dataclass(frozen=True)
class Opened:
    """A study with its items and people in its store."""

    study: Study
    store: Store
    desk: Desk
    people: People
    signer: Signer

    def admins(self) -> list[str]:
        """Who may see the admin's pages; where nobody may, `admin` is made, or `admin-2` where there was one: who was revoked stays so."""
        there = [person.name for person in self.people.everyone() if person.role == "admin" and person.active]
        return there or [self.people.invite(HERE, self._free("admin"), "admin").name]

    def _free(self, name: str) -> str:
        """The name, or with the first number that makes it nobody's."""
        taken = {person.name for person in self.people.everyone()}
        names = (name, *(f"{name}-{n}" for n in range(2, len(taken) + 3)))
        gone = self.store.erased(names)
        return next((one for one in names if one not in taken | gone), f"{name}-{secrets.token_hex(4)}")

    def link(self, base: str, name: str) -> str:
        """Somebody's invitation."""
        return f"{base}/join/{self.sign('invitation', name)}"

    def sign(self, purpose: Purpose, name: str) -> str:
        return self.signer.sign(purpose, Claim(name, self.people.find(name).keys))


def ready(path: Path) -> Opened:
    """The study at a path, loaded. UserError for any fault in it."""
    study = answered(read_study(path), path.parent)
    store = Store(study.store)
    desk = Desk(study, store)
    desk.load()
    return Opened(study, store, desk, People(study, store), Signer(secret_of(path)))


def url_of(given: str, host: str, port: int) -> str:
    """The address by which people come. UserError where it is none."""
    if not given:
        name = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/") or parts.query:
        raise UserError(f"--url {given}: an address without a path, like https://label.example.org")
    return f"{parts.scheme}://{parts.netloc}"
