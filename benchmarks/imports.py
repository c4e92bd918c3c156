"""What of other tools' own examples comes over:  python -m benchmarks.imports AXOLOTL LLAMAFACTORY [--publish]

Checkouts of axolotl-ai-cloud/axolotl and hiyouga/LLaMA-Factory. Every YAML page below their `examples` but those of launchers is imported
as `tutelage import` does, nothing written; refusals are told by what they say. The table goes into docs/coming-over.md.
"""

import argparse
import contextlib
from collections import Counter
from pathlib import Path

from benchmarks.publish import replace, table
from tutelage.core.errors import UserError
from tutelage.recipes.moving import door
from tutelage.recipes.moving.result import Order

PAGE = Path(__file__).parents[1] / "docs" / "coming-over.md"
LAUNCHERS = ("accelerate", "deepspeed")
REASONS = {
    "an objective, an adapter or a type of rows that isn't here": (
        "there is no way over",
        "isn't known here",
        "there is no adapter",
        "no objective",
    ),
    "nothing is trained by it (it merges, serves, rents a machine)": ("nothing is trained by it", "keys are of none of"),
    "of LLaMA-Factory's v1 trainer": ("v1 trainer",),
    "data that isn't in the checkout": ("no data set '", "there is no file"),
    "a key that the tool itself doesn't have": ("has no such key",),
}


def main() -> None:
    asked = argparse.ArgumentParser(description="Other tools' own examples, imported.")
    asked.add_argument("checkouts", type=Path, nargs="+")
    asked.add_argument("--publish", action="store_true")
    given = asked.parse_args()
    found = {checkout.name: tried(checkout) for checkout in given.checkouts}
    rows = [[told, *(str(some[told]) for some in found.values())] for told in ("written", *REASONS)]
    page = table(["became of it", *(f"{name} ({sum(some.values())} pages)" for name, some in found.items())], rows)
    print(page)
    if given.publish:
        replace("imports", page, PAGE)


def tried(checkout: Path) -> Counter[str]:
    """How many pages ended how. A refusal of no known kind ends the whole, since it may be a fault of ours."""
    found: Counter[str] = Counter()
    with contextlib.chdir(checkout):
        for page in sorted(Path("examples").rglob("*.y*ml")):
            if not set(LAUNCHERS) & set(page.parts):
                found[became(page)] += 1
    return found


def became(page: Path) -> str:
    try:
        door.from_file(Order(page, page.with_suffix(".recipe.yaml"), 1), None)
    except UserError as refused:
        reason = next((why for why, marks in REASONS.items() if any(mark in str(refused) for mark in marks)), None)
        if reason is None:
            raise SystemExit(f"{page}: {refused}") from None
        print(f"{reason}: {refused}")
        return reason
    return "written"


if __name__ == "__main__":
    main()
