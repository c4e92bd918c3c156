"""The written reference is what recipes are checked against: it is up to date, whole, and its examples are accepted and refused."""

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Interval

from tutelage.core.settings import build, read_yaml
from tutelage.recipes import handbook, methods
from tutelage.recipes.recipe import Page

DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Inner:
    """What stands inside."""

    rate: Annotated[float, Interval(ge=0, lt=1)] = 0.5
    """Of | something, as {rate: 0.1} says."""
    name: str = "n"
    """Its name."""


@dataclass(frozen=True)
class Outer:
    """What holds it."""

    needed: Annotated[int, Ge(1)]
    """A number."""
    how: Literal["a", "b"] | None = None
    """The way."""
    only: Inner = field(default_factory=lambda: Inner(rate=0.25))
    """In place."""
    many: tuple[Annotated[float, Gt(0)], ...] = ()
    """Numbers."""


def row(page: str, setting: str) -> str:
    (found,) = [line for line in page.splitlines() if line.startswith(f"| `{setting}` |")]
    return found


def section(page: str, title: str) -> str:
    return re.split(rf"^##+ {title}\n", page, flags=re.MULTILINE)[1].split("\n#")[0]


def test_the_pages_are_up_to_date() -> None:
    """After a change of a setting or an equation: python -m tutelage.recipes.handbook docs"""
    assert (DOCS / "reference.md").read_text() == handbook.reference(), test_the_pages_are_up_to_date.__doc__
    methods_page = (DOCS / "methods.md").read_text()
    assert methods_page == handbook.filled(methods_page), test_the_pages_are_up_to_date.__doc__


def test_types_ranges_defaults_and_texts_in_words() -> None:
    page = handbook.table(Outer, [])
    assert row(page, "needed") == "| `needed` | whole number ≥ 1 | required | A number. |"
    assert row(page, "how") == "| `how` | `a` · `b` or `null` | `null` | The way. |"
    assert row(page, "only") == "| `only` | settings |  | In place. |"
    assert row(page, "only.rate") == "| `only.rate` | number, 0 ≤ x < 1 | `0.25` | Of \\| something, as `{rate: 0.1}` says. |"
    assert row(page, "many") == "| `many` | list of number > 0 | `[]` | Numbers. |"


def test_shared_settings_are_told_by_what_differs() -> None:
    page = handbook.table(Outer, [Inner])
    assert row(page, "only") == "| `only` | [inner](#inner) | `{rate: 0.25}` | In place. |"
    assert "only.rate" not in page and handbook.written(Inner()) == "*as there*"


def test_every_method_and_every_setting_is_there_with_a_sentence() -> None:
    page = handbook.reference()
    for name in methods.names():
        method, told = methods.find(name, "test"), section(page, name)
        own = [f for cls in (method.stage, method.objective) if cls for f in dataclasses.fields(cls) if f.init]
        assert all(f"| `{f.name.rstrip('_')}` |" in told for f in own), name
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 100 and not [line for line in rows if line.endswith("|  |")]


def test_headings_are_there_once_and_links_lead_to_them() -> None:
    page = handbook.reference()
    titles = re.findall(r"^##+ (.*)$", page, re.MULTILINE)
    anchors = {title.lower().replace(" ", "-") for title in titles}
    assert len(anchors) == len(titles) and set(re.findall(r"\]\(#([^)]*)\)", page)) <= anchors


def test_written_defaults_are_what_a_recipe_takes(tmp_path: Path) -> None:
    """Each default of PPO, put into a recipe as the page writes it, makes the stage that nothing said would make."""
    found = re.findall(r"^\| `([\w.]+)` \| .* \| `([^|]*)` \| .*\|$", section(handbook.reference(), "ppo"), re.MULTILINE)
    top = [f"{name}: {value}" for name, value in found if "." not in name and name != "ptx"]
    assert len(top) >= 12
    (tmp_path / "r.yaml").write_text("prompts: p\nreward_model: r\n" + "\n".join(top))
    stage = methods.find("ppo", "test").stage
    assert build(stage, read_yaml(tmp_path / "r.yaml", "r").tree, "r") == build(stage, {"prompts": "p", "reward_model": "r"}, "r")


def test_an_equation_and_its_source_stand_in_the_methods() -> None:
    page = (DOCS / "methods.md").read_text()
    assert set(re.findall(r"<!-- objective: (\w+) -->", page)) == set(methods.objectives())
    assert "2305.18290, eq. 7" in section(page, "dpo") and "| `beta` | number > 0 | `0.1` |" in section(page, "dpo")
    stale = page.replace("2305.18290, eq. 7", "2305.18290, eq. 8")
    assert stale != page and handbook.filled(stale) == page


def test_a_new_setting_makes_the_page_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    before = handbook.reference()

    @dataclass(frozen=True)
    class More(Page):
        """A page with one more."""

        extra: int = 1
        """Something new."""

    monkeypatch.setattr(handbook, "Page", More)
    after = handbook.reference()
    assert after != before and row(after, "extra") == "| `extra` | whole number | `1` | Something new. |"


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    (tmp_path / "methods.md").write_text((DOCS / "methods.md").read_text().replace("eq. 7", "eq. 8"))
    assert {path.name for path in handbook.write(tmp_path)} == {"reference.md", "methods.md"}
    assert handbook.write(tmp_path) == [] and (tmp_path / "methods.md").read_text() == (DOCS / "methods.md").read_text()
