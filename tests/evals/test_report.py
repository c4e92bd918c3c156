import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.evals.test_findings import values
from tests.evals.world import NOTES, result
from tutelage.core.errors import UserError
from tutelage.evals.compare import claim, compare_all
from tutelage.evals.eval import Measure
from tutelage.evals.findings import Cost, Example, Findings, Shown, Source, StageNote, judged_claims
from tutelage.evals.report import as_html, as_json, clock, write

EVIL = "</div><script>alert('x')</script> & <b>bold</b>"
LOG = Measure("forgetting", "Perplexity on held-out text", scale="log", higher_is_better=False)


def full() -> Findings:
    families = ["list_all"] * 20 + ["sort"] * 20
    results = (
        result("sft best of 4", values(0.58), families=families),
        *(result(name, values(mean), families=families) for name, mean in (("base", 0.1), ("sft", 0.5), ("ppo", 0.62), ("dpo", 0.56))),
        *(result(name, values(mean), LOG) for name, mean in (("base", 1.0), ("sft", 1.1), ("ppo", 1.2))),
    )
    steps = [0, 8, 16]
    notes = tuple(replace(n, hash="ab" * 32, settings={"steps": 48, "name": EVIL}, cost=Cost(1000, 90.0, 11.1, 2**30)) for n in NOTES)
    found = Findings(
        recipe="instructgpt",
        stages=notes,
        results=results,
        comparisons=compare_all(results),
        evaluation=StageNote("evaluate", "evaluate", cost=Cost(7, 2.0, 3.5, 2**29)),
        curves={
            "gold": {"ppo": [{"step": s, "value": 0.5 + s / 100, "low": 0.4, "high": 0.7} for s in steps]},
            "proxy": {"ppo": [{"step": s, "value": s / 10} for s in steps]},
            "kl": {"ppo": [{"step": s, "value": s / 4} for s in steps]},
        },
        examples=(Example("Gained most", EVIL, (Shown("sft", EVIL, "0.10"), Shown("ppo", "", "0.90")), "sort"),),
        picked="By rule.",
        data=(Source(EVIL, "synthetic:text", 1200, "documents", "cd" * 32),),
        people=(Source("ann-01", "synthetic:annotators", 100, "rankings"), Source("ann-02", "", 120, "rankings")),
        untested=("Attacks: none were tried.",),
        settings=f"about: {EVIL}\n",
        notes=("A small model.",),
        versions={"tutelage": "0.1.0"},
    )
    claims = ["ppo > sft on overall by 0.06", "dpo > ppo on overall", "kto > sft on overall"]
    return replace(found, judgements=judged_claims(found, [claim(text) for text in claims]))


class Page(HTMLParser):
    """Tags in order and the text between them; unbalanced tags raise."""

    VOID = ("meta", "br", "line", "circle", "polyline", "polygon")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data


def test_the_json_has_the_promised_shape():
    found = json.loads(json.dumps(as_json(full()), allow_nan=False))
    assert set(found["evals"]) == {"overall", "forgetting"}
    ppo = found["evals"]["overall"]["ppo"]
    assert set(ppo) == {"mean", "low", "high", "n", "families"} and ppo["n"] == 40
    assert ppo["low"] < ppo["mean"] < ppo["high"] and set(ppo["families"]["sort"]) == {"mean", "low", "high", "n"}
    first = next(c for c in found["comparisons"] if (c["a"], c["b"], c["eval"]) == ("ppo", "sft", "overall"))
    assert (
        first["difference"] == pytest.approx(0.12, abs=0.01) and first["low"] <= first["difference"] <= first["high"] and first["n"] == 40
    )
    assert any((c["a"], c["b"]) == ("ppo", "sft best of 4") for c in found["comparisons"])
    assert found["curves"]["kl"]["ppo"][1] == {"step": 8, "value": 2.0}
    assert list(found["cost"])[-1] == "evaluate" and found["cost"]["evaluate"]["tokens"] == 7
    assert found["cost"]["ppo"] == {"tokens": 1000, "seconds": 90.0, "tokens_per_s": 11.1, "peak_rss": 2**30}
    assert [row["held"] for row in found["expected"]] == [True, False, None]


def test_the_page_escapes_what_models_and_users_wrote():
    html = as_html(full())
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(EVIL) >= 5  # prompt, answer, settings of a stage, recipe, data


def test_the_page_reaches_for_nothing_outside_itself():
    html = as_html(full())
    for _, attributes in Page(html).tags:
        assert not {"src", "href", "srcset", "action"} & set(attributes)
    assert "url(" not in html and "@import" not in html
    assert set(re.findall(r"https?://[^\"' <]+", html)) == {"http://www.w3.org/2000/svg"}


def test_the_page_says_first_what_came_of_it():
    page = Page(as_html(full()))
    assert page.text.index("PPO is better than SFT by 0.12") < page.text.index("What was not tested")
    for words in ("KL from the start", "ann-02", "Attacks: none were tried.", "A small model.", "1:30 min", "220 annotations", "(nothing)"):
        assert words in page.text
    order = [page.text.index(title) for title in ("Answers", "In training", "Cost", "Data and people", "What was not tested", "Model card")]
    assert order == sorted(order)
    folded = [tag for tag, _ in page.tags].count("details")
    assert folded == 1 + 1 + len(NOTES)  # people, recipe, each stage's settings


def test_a_failed_effect_is_printed_as_failed():
    html = as_html(full())
    assert re.search(r'<li><b class="worse">Failed</b><span>DPO is better than PPO on overall .*the opposite is shown', html)
    assert re.search(r'<li><b class="soft">Not tested</b><span>KTO is better than SFT', html)


def test_both_files_are_written(tmp_path: Path):
    page = write(full(), tmp_path / "new")
    assert page.name == "report.html" and page.read_text().startswith("<!doctype html>")
    assert json.loads((tmp_path / "new" / "report.json").read_text())["recipe"] == "instructgpt"


def test_one_stage_without_curves_examples_or_costs_makes_a_page():
    found = Findings("mine", (StageNote("sft", "sft"),), (result("sft", values(0.5)),))
    text = Page(as_html(found)).text
    assert "nothing was measured that it could be compared with" in text
    assert "In training" not in text and "Cost" not in text
    assert as_json(found)["comparisons"] == [] and as_json(found)["curves"] == {}


def test_nothing_measured_makes_a_page():
    assert "Nothing was measured." in Page(as_html(Findings("mine", (), ()))).text


def test_one_item_is_a_dot_without_whisker_and_null_in_the_json():
    found = Findings("mine", NOTES, (result("sft", [0.5]), result("ppo", [0.7])))
    found = replace(found, comparisons=compare_all(found.results))
    text = Page(as_html(found)).text
    assert "no interval" in text and not re.search(r"\binf\b", text)
    plain = as_json(found)
    assert plain["evals"]["overall"]["sft"]["low"] is None and plain["comparisons"][0]["high"] is None
    json.dumps(plain, allow_nan=False)


def test_a_curve_with_one_point_and_one_without_any():
    found = Findings("mine", NOTES, (result("ppo", values(0.5)),), curves={"gold": {"ppo": [{"step": 0, "value": 0.5}]}, "kl": {"dpo": []}})
    assert "In training" in Page(as_html(found)).text


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_refused_and_nothing_is_written(tmp_path: Path, bad: float):
    broken = replace(full(), curves={"gold": {"ppo": [{"step": 0, "value": bad}]}})
    with pytest.raises(UserError, match=r"curve gold of ppo is (nan|inf), not a number"):
        write(broken, tmp_path / "out")
    first = replace(full().results[0], mean=bad)
    with pytest.raises(UserError, match="not a number"):
        write(replace(full(), results=(first,)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_huge_texts_do_not_break_the_page():
    huge = "x" * 200_000
    found = replace(full(), examples=(Example("Best", huge, (Shown("ppo", huge),)),), recipe="r" * 500)
    html = as_html(found)
    Page(html)
    assert "overflow-wrap" in html


def test_time_is_written_as_people_say_it():
    assert [clock(s) for s in (0.0, 12.34, 59.96, 90, 3599, 3600, 7260)] == [
        "0.0 s",
        "12.3 s",
        "60.0 s",
        "1:30 min",
        "59:59 min",
        "1:00 h",
        "2:01 h",
    ]
