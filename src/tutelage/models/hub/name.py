"""`Qwen/Qwen3-8B@v1.0`: a repository of a hub, and which revision of it."""

import re
from dataclasses import dataclass

ID = re.compile(r"([A-Za-z0-9][\w.-]*/[\w.-]+)(?:@([^\s@]+))?")
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubName:
    """What a recipe names."""

    repository: str
    revision: str = "main"
    """A branch, a tag or a commit."""

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}"

    @property
    def fixed(self) -> bool:
        """Names a commit, which can't move."""
        return COMMIT.fullmatch(self.revision) is not None


def hub_name(given: str) -> HubName | None:
    """The repository and revision that a text names; None for a text that is no hub id."""
    found = ID.fullmatch(given)
    return HubName(found[1], found[2] or "main") if found else None


def is_repository(given: str) -> bool:
    """OWNER/NAME, without a revision."""
    found = ID.fullmatch(given)
    return found is not None and found[2] is None
