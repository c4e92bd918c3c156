from pathlib import Path

import pytest

from tutelage.evals.answers import Kept

MODEL = "a" * 40
ITEMS = [f"item {n}" for n in range(10)]


class Work:
    """Counts what is computed; dies when told to."""

    def __init__(self, dies_at: int = 99) -> None:
        self.done: list[int] = []
        self.dies_at = dies_at

    def __call__(self, part: range) -> list[dict[str, object]]:
        if self.dies_at in part:
            raise KeyboardInterrupt
        self.done += part
        return [{"n": n} for n in part]


def test_everything_is_computed_once(tmp_path: Path):
    kept, work = Kept(tmp_path / "answers", chunk=4), Work()
    rows = [kept.fill("answers", MODEL, ITEMS, {}, work) for _ in range(2)]
    assert rows[0] == rows[1] == [{"n": n} for n in range(10)]
    assert work.done == list(range(10))


def test_a_kill_redoes_one_chunk(tmp_path: Path):
    kept, work = Kept(tmp_path, chunk=4), Work(dies_at=8)
    with pytest.raises(KeyboardInterrupt):
        kept.fill("answers", MODEL, ITEMS, {}, work)
    again = Work()
    assert kept.fill("answers", MODEL, ITEMS, {}, again) == [{"n": n} for n in range(10)]
    assert work.done == list(range(8)) and again.done == [8, 9]


@pytest.mark.parametrize(
    "left", [b'{"n":0}\n{"n":1}\n{"n":2}\n{"n":3}\n{"n":4}\n{"n":5', b'{"n":0}\n{"n":1}\n{"n":2}\n{"n":3}\n{"n":4}\n', b'{"n":']
)
def test_a_kill_while_writing_redoes_the_chunk_from_its_first_item(tmp_path: Path, left: bytes):
    kept = Kept(tmp_path, chunk=4)
    kept.path("answers", MODEL, ITEMS, {}).write_bytes(left)
    again = Work()
    whole = 4 if left.count(b"\n") >= 4 else 0
    assert kept.fill("answers", MODEL, ITEMS, {}, again) == [{"n": n} for n in range(10)]
    assert again.done == list(range(whole, 10))
    assert kept.path("answers", MODEL, ITEMS, {}).read_text().count("\n") == 10


@pytest.mark.parametrize(
    "other",
    [
        ("nll", MODEL, ITEMS, {}),
        ("answers", MODEL[:-1] + "b", ITEMS, {}),
        ("answers", MODEL, ITEMS[::-1], {}),
        ("answers", MODEL, ITEMS, {"t": 1}),
    ],
)
def test_another_question_model_order_or_setting_is_another_file(tmp_path: Path, other: tuple[str, str, list[str], object]):
    kept, work = Kept(tmp_path, chunk=4), Work()
    kept.fill("answers", MODEL, ITEMS, {}, work)
    kept.fill(*other, work)
    assert len(work.done) == 20
