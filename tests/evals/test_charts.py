import re
from itertools import pairwise

import pytest

from tests.evals.test_report import full
from tests.evals.world import NOTES, result
from tutelage.evals.charts import apart, axis, curve_panel, panel
from tutelage.evals.findings import Findings


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.42, 0.47), (7.1, 9.7), (-3, 1200), (1e-5, 3e-5), (0.5, 0.5), (0, 0), (-2, -2)])
def test_axes_hold_their_values_and_have_a_few_round_ticks(low: float, high: float):
    x = axis([low, high], 100, 300)
    assert 100 <= x(low) <= x(high) <= 300
    assert 2 <= len(x.ticks) <= 9 and all(x.low <= t <= x.high for t in x.ticks)


def test_a_value_lands_where_the_axis_says():
    x = axis([0.2, 0.7], 100, 300, (0.0, 1.0))
    assert [x(0.0), x(0.5), x(1.0)] == [100, 200, 300]
    assert x.ticks == [0, 0.25, 0.5, 0.75, 1.0]


def test_limits_give_way_to_values_outside_of_them():
    x = axis([-0.1, 0.5], 100, 300, (0.0, 1.0))
    assert x(-0.1) >= 100 and x.low < -0.1


def test_a_panel_draws_each_stage_at_its_value():
    found = Findings("r", NOTES, (result("sft", [0.4, 0.6]), result("ppo", [0.7, 0.8])))
    svg = panel(found, found.results, "ppo")
    dots = [float(x) for x in re.findall(r'<circle[^>]* cx="([\d.]+)"', svg)]
    whiskers = [(float(a), float(b)) for a, b in re.findall(r'class="whisker[^>]* x1="([\d.]+)" x2="([\d.]+)"', svg)]
    assert len(dots) == len(whiskers) == 2 and dots[0] < dots[1]
    assert all(a <= dot <= b for dot, (a, b) in zip(dots, whiskers, strict=True))
    assert ">0.50<" in svg and ">0.75<" in svg


def test_names_are_escaped_and_long_ones_cut():
    found = Findings("r", (), (result("<b>&" + "long" * 20, [0.4, 0.6]),))
    svg = panel(found, found.results, "")
    assert "<b>" not in svg and "&lt;b&gt;&amp;" in svg and "\u2026" in svg


def test_a_stage_has_one_color_in_all_charts():
    found = full()
    first = re.search(r'class="dot (s\d)"', panel(found, [r for r in found.results if r.stage == "ppo"][:1], ""))
    line = re.search(r'class="line (s\d)"', curve_panel(found, {"ppo": [(0.0, {"value": 1.0})]}, {}, "step"))
    assert first and line and first[1] == line[1]


def test_labels_at_the_ends_of_lines_do_not_overlap():
    placed = apart([(50.0, "a", ""), (51.0, "b", ""), (20.0, "c", ""), (52.0, "d", "")])
    heights = [y for y, _, _ in placed]
    assert [label for _, label, _ in placed] == ["c", "a", "b", "d"]
    assert all(b - a >= 14 for a, b in pairwise(heights))


def test_a_whisker_beyond_the_possible_stops_at_the_limit():
    found = Findings("r", NOTES, (result("sft", [0.0, 0.02, 0.0]),))
    assert found.results[0].low < 0
    svg = panel(found, found.results, "")
    assert ">0.25<" in svg and ">1<" in svg  # the axis is still 0 to 1
