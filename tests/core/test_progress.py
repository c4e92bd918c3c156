import io

from rich.console import Console

from tutelage.core.progress import Display, Lines, Pace, clock


def test_the_rate_is_of_this_process_alone():
    pace = Pace("ppo", 48, began=100.0).ticked(41, 500, {}).ticked(42, 500, {})
    assert pace.rate(102.0) == 500.0
    assert pace.left(102.0) == 6.0, "two steps took two seconds, six remain; the forty before were another process's"


def test_a_line_names_stage_speed_time_left_and_figures():
    line = Pace("sft", 10, began=0.0).ticked(5, 1000, {"loss": 2.123456}).line(2.0)
    assert line == "sft: 5/10  500 tokens/s  0:10 left  loss 2.123"


def test_without_a_total_no_time_is_promised():
    assert "left" not in Pace("label", 0, began=0.0).ticked(5, 10, {}).line(1.0)


def test_clock():
    assert [clock(x) for x in (7, 750, 7500)] == ["0:07", "12:30", "2:05:00"]


def test_plain_lines_come_now_and_then_and_at_the_end():
    times = iter(range(1000))
    stream = io.StringIO()
    lines = Lines(stream, every=5, now=lambda: float(next(times)))
    lines.stage("sft", 20)
    for step in range(20):
        lines.tick(step + 1, 10)
    printed = stream.getvalue().splitlines()
    assert printed[0] == "sft begins" and printed[-1].startswith("sft: 20/20")
    assert 3 <= len(printed) <= 7


def test_the_display_keeps_notes_and_leaves_no_line_behind():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80)
    with Display(console) as display:
        display.stage("ppo", 4)
        display.tick(2, 100, kl=1.5)
        assert "ppo: 2/4" in display.render().plain and "kl 1.5" in display.render().plain
        display.note("sft is whole [1/2]")
    assert "sft is whole [1/2]" in stream.getvalue()
