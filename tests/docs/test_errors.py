"""The sentences that docs/errors.md explains are sentences that the code says."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text()


def said() -> str:
    """Every text in the package's code, its parts in order, names and numbers left out."""
    texts: list[str] = []
    for path in sorted((ROOT / "src" / "tutelage").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(p.value if isinstance(p, ast.Constant) else "…" for p in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def explained() -> list[str]:
    """The first column of the tables of sentences."""
    return re.findall(r"^\| `([^`]+)` \|", PAGE.partition("## Exit code 2")[2], re.MULTILINE)


def missing(sentences: list[str], code: str) -> list[str]:
    """Sentences of which some part longer than a word is said nowhere."""
    parts = {sentence: [part.strip(" '").removesuffix(":") for part in sentence.split("…")] for sentence in sentences}
    return [sentence for sentence, found in parts.items() if any(len(part) > 3 and part not in code for part in found)]


def test_each_is_said() -> None:
    assert len(explained()) >= 20
    assert missing(explained(), said()) == []


def test_one_that_is_not_said_is_seen() -> None:
    assert missing(["there is no recipe '…", "the moon is full of …"], said()) == ["the moon is full of …"]


def test_exit_codes_are_those_of_the_command_line() -> None:
    source = (ROOT / "src" / "tutelage" / "cli" / "__init__.py").read_text()
    codes = {int(code) for code in re.findall(r"leave\((\d+)", source)} | {0}
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert codes <= told and told - codes == {137}
