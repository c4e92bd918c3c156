"""A progress that keeps what a run says."""

import re

from tutelage.core.progress import Silent


class Heard(Silent):
    """Keeps notes, and the links that people are given among them."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def links(self) -> dict[str, str]:
        return {name: link for line in self.notes for name, link in re.findall(r"^  (\S+)  (http\S+)", line)}
