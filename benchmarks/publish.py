"""Writes a run's report into docs/results.md as Markdown:  python -m benchmarks.publish RUN "built-in world" [--answers]

What stands between `<!-- results: NAME -->` and the next such marker is replaced; every figure comes from the run's report.json.
"""

import argparse
import re
from pathlib import Path
from typing import Any

from tutelage.cli.screen import report_of

PAGE = Path(__file__).parents[1] / "docs" / "results.md"


def main() -> None:
    asked = argparse.ArgumentParser(description="Writes a run's report into docs/results.md.")
    asked.add_argument("run", type=Path)
    asked.add_argument("name", help="which marker of the page")
    asked.add_argument("--answers", action="store_true", help="examples of what was said, too")
    asked.add_argument("--mask", action="append", default=[], help="a word of the answers to leave out")
    given = asked.parse_args()
    plain = report(given.run)
    told = [plain["sentence"], results(plain), differences(plain), claims(plain), curves(plain), costs(plain)]
    if given.answers:
        told.append(masked(examples(plain), given.mask))
    replace(given.name, "\n\n".join(part for part in told if part))


def masked(text: str, words: list[str]) -> str:
    """Small models repeat what they have read; a word that would offend stands as […]."""
    return re.sub(rf"\b({'|'.join(map(re.escape, words))})\b", "[…]", text, flags=re.IGNORECASE) if words else text


def report(run: Path) -> dict[str, Any]:
    """The run's current report.json."""
    found = report_of(run)
    if found is None:
        raise SystemExit(f"{run} has no report yet")
    return found[1]


def replace(name: str, body: str, page: Path = PAGE) -> None:
    """What stands between this marker and the next one (or a heading) on a page."""
    marker = f"<!-- results: {name} -->"
    before, found, after = page.read_text().partition(marker)
    if not found:
        raise SystemExit(f"{page} has no line {marker}")
    rest = re.search(r"^(<!-- results: |#)", after, re.MULTILINE)
    kept = after[rest.start() :] if rest else ""
    page.write_text(f"{before}{marker}\n\n{body}\n\n{kept}".rstrip() + "\n")


def results(plain: dict[str, Any]) -> str:
    """A row per measure, a column per stage: mean (95 % interval), n."""
    stages = list(dict.fromkeys(stage for row in plain["evals"].values() for stage in row))
    lines = [[plain["measures"][name]["title"], *(cell(row.get(stage)) for stage in stages)] for name, row in plain["evals"].items()]
    return table(["", *stages], lines)


def cell(figures: dict[str, Any] | None) -> str:
    if figures is None:
        return ""
    if figures["low"] is None:
        return f"{figures['mean']:.3g}"
    return f"{figures['mean']:.3g} ({figures['low']:.3g} to {figures['high']:.3g}), n = {figures['n']:,}"


def differences(plain: dict[str, Any]) -> str:
    """Paired differences on the first measure and on perplexity."""
    shown = [c for c in plain["comparisons"] if c["eval"] in (next(iter(plain["evals"])), "forgetting") and not c["family"]]
    lines = [[c["a"], c["b"], c["eval"], f"{c['difference']:+.3f}", f"{c['low']:+.3f} to {c['high']:+.3f}", str(c["n"])] for c in shown]
    return table(["stage", "against", "eval", "difference (perplexity: share)", "95 % interval", "n"], lines)


def claims(plain: dict[str, Any]) -> str:
    """What the recipe expected and what became of it."""
    words = {True: "held", False: "**failed**", None: "not tested"}
    return "\n".join(f"- {words[claim['held']]}: {claim['claim']} ({claim['reason']})" for claim in plain["expected"])


def costs(plain: dict[str, Any]) -> str:
    lines = [
        [stage, f"{c['tokens']:,}", f"{c['seconds']:.0f}", f"{c['tokens_per_s']:,.0f}", f"{c['peak_rss'] / 2**30:.2f}"]
        for stage, c in plain["cost"].items()
    ]
    return table(["stage", "tokens", "seconds", "tokens/s", "peak memory, GiB"], lines)


def curves(plain: dict[str, Any]) -> str:
    """What probes saw during training: a row per stage and figure, a column per optimiser step."""
    parts = []
    for stage in dict.fromkeys(stage for lines in plain["curves"].values() for stage in lines):
        lines = {name: lines[stage] for name, lines in plain["curves"].items() if stage in lines}
        steps = [f"{point['step']:.0f}" for point in next(iter(lines.values()))]
        rows = [[name, *(f"{point['value']:.2f}" for point in points)] for name, points in lines.items()]
        parts.append(table([f"{stage}, step", *steps], rows))
    return "\n\n".join(parts)


def examples(plain: dict[str, Any]) -> str:
    """Prompts and every stage's answer, as the report picked them; one line each, shortened to 300 characters."""
    parts = [plain["picked"]]
    for example in plain["examples"]:
        answers = [[shown["stage"], short(shown["text"]), shown["note"]] for shown in example["answers"]]
        parts.append(f"**{short(example['prompt'])}**\n\n" + table(["stage", "answer", ""], answers))
    return "\n\n".join(parts)


def short(text: str) -> str:
    line = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
    return line if len(line) <= 300 else line[:300] + "\u2026"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
