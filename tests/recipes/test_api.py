"""The Python API says the same as the command line."""

import subprocess
import sys

import pytest

import tutelage
from tests.cli.batch import environment
from tests.recipes.pages import folder_model, page
from tutelage.core.errors import UserError


def test_plan_and_run(tmp_path):
    path = page(tmp_path, folder_model(tmp_path))
    assert {row.why for row in tutelage.plan(path, tmp_path / "run")} == {"not made yet"} and not (tmp_path / "run").exists()
    assert list(tutelage.run(path, tmp_path / "run").ran) == ["base", "sft", "people", "judge", "ppo", "twin", "last"]
    assert [row.step.name for row in tutelage.plan(path, tmp_path / "run", ["stages.judge.without=[ann-02]"]) if row.why] == ["judge"]


def test_broken_rows_are_found_before_anything_is_written(tmp_path):
    (tmp_path / "text.jsonl").write_text('{"text": "a"}\n{"txet": "b"}\n')
    path = page(tmp_path, folder_model(tmp_path))
    with pytest.raises(UserError, match=r"text.jsonl:2: the field 'text' is missing; did you mean 'txet'"):
        tutelage.run(path, tmp_path / "run", [f"inputs.text={tmp_path}/text.jsonl"])
    assert not (tmp_path / "run").exists()


def test_few_kernels_are_kept_unless_somebody_says_how_many():
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    code = f"import os, tutelage; print(os.environ['{name}'])"
    bare = {key: value for key, value in environment().items() if key != name}
    for given, kept in ((bare, "256"), ({**bare, name: "7"}, "7")):
        assert subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True).stdout.strip() == kept
