from pathlib import Path

import pytest

from tests.cli.batch import command
from tutelage.core.environment import number
from tutelage.core.errors import UserError


@pytest.mark.parametrize("told, found", [(None, 3), ("", 3), (" 2 ", 2), ("16", 16)])
def test_a_number_or_none(told: str | None, found: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME", raising=False)
    if told is not None:
        monkeypatch.setenv("SOME", told)
    assert number("SOME", 3, least=1) == found


@pytest.mark.parametrize("told", ["many", "0", "-1", "1.5", "4,2"])
def test_what_is_none_is_named(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME", told)
    with pytest.raises(UserError, match=f"the environment variable SOME is '{told}'; it can be a whole number of 1 or more"):
        number("SOME", 3, least=1)


@pytest.mark.parametrize("name, line", [("OMP_NUM_THREADS", ["doctor"]), ("WORLD_SIZE", ["run", "instructgpt", "--out", "run"])])
def test_commands_say_so(name: str, line: list[str], tmp_path: Path) -> None:
    answer = command(*line, folder=tmp_path, **{name: "many"})
    assert answer.code == 2 and answer.err.strip().splitlines()[-1].startswith(f"the environment variable {name} is 'many'"), answer
    assert not list(tmp_path.iterdir()) and "Traceback" not in answer.err
