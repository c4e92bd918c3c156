"""The command lines that the documentation shows: those of its ```sh blocks, and those that stand in a sentence."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
MENTIONED = re.compile(r"`(tutelage\s[^`]+)`")


@dataclass(frozen=True)
class Line:
    """One command as it is written, without what is said about it."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """Its words, without variables set before it."""
        found = shlex.split(self.text)
        while found and re.fullmatch(r"[A-Z_]+=.*", found[0]):
            found.pop(0)
        return found


def shown(page: Path) -> list[Line]:
    """The commands of a page's blocks; a line that ends in a backslash goes on in the next, `a && b` are two."""
    whole = "\n".join(BLOCK.findall(page.read_text())).replace("\\\n", " ")
    texts = [shlex.join(shlex.split(line, comments=True)) for line in whole.splitlines()]
    return [Line(page.name, part.strip()) for text in texts if text for part in text.split(" '&&' ")]


def mentioned(page: Path) -> list[Line]:
    """The commands within sentences: `tutelage sft|reward MODEL DATA` is two, `...` stands for whatever is there."""
    found = MENTIONED.findall(FENCED.sub("", page.read_text()))
    return [Line(page.name, text) for one in found for text in alternatives(" ".join(one.split()))]


def alternatives(text: str) -> list[str]:
    """A command for each of the subcommands that are named together."""
    first, name, *rest = text.split(" ")
    return [" ".join([first, one, *rest]) for one in name.split("|")]


def every_line() -> list[Line]:
    return [line for page in PAGES for line in shown(page)]
