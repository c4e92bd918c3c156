"""The runner with small real stages: real files, real kills."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.recipes import tiny_stages
from tests.recipes.pages import PAGE, folder_model, page
from tutelage.core.errors import UserError
from tutelage.core.randomness import uniforms
from tutelage.core.run import Run
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run

ROOT = Path(__file__).parents[2]


class Told:
    """A progress that remembers."""

    def __init__(self):
        self.notes, self.ticks = [], []

    def stage(self, name, total_steps):
        self.notes.append(name)

    def tick(self, step, tokens, **figures):
        self.ticks.append((step, tokens, figures))

    def note(self, text):
        self.notes.append(text)


def weights(out):
    """Of every current artifact: the bytes that it made."""
    with Run.open(out) as opened:
        return {a.stage: (a.path / "model" / "links.json").read_bytes() for a in opened.artifacts() if (a.path / "model").is_dir()}


def test_everything_is_made_once_and_then_nothing(tmp_path):
    path = page(tmp_path)
    first, again = run(load(path), tmp_path / "run"), run(load(path), tmp_path / "run")
    assert set(first.ran.values()) == {"not made yet"} and list(first.ran) == list(load(path).steps)
    assert again.ran == {} and again.artifacts == first.artifacts


def test_a_changed_setting_makes_its_stage_and_what_comes_after_and_says_why(tmp_path):
    path = page(tmp_path)
    run(load(path), tmp_path / "run")
    ran = run(load(path, ["stages.ppo.rate=0.1"]), tmp_path / "run").ran
    assert ran == {"ppo": "rate 0.03 -> 0.1", "twin": "rate 0.03 -> 0.1", "last": "comes after twin"}


def test_a_setting_changed_back_finds_what_was_made(tmp_path):
    path = page(tmp_path)
    run(load(path), tmp_path / "run")
    run(load(path, ["stages.ppo.rate=0.1"]), tmp_path / "run")
    assert run(load(path), tmp_path / "run").ran == {}
    assert run(load(path, ["stages.twin.steps=8"]), tmp_path / "run").ran == {"twin": "steps 6 -> 8", "last": "comes after twin"}


def test_leaving_an_annotator_out_makes_the_judge_and_never_the_annotations(tmp_path):
    path = page(tmp_path)
    run(load(path), tmp_path / "run")
    done = run(load(path, ["stages.judge.without=[ann-01]"]), tmp_path / "run")
    assert done.ran == {"judge": 'without [] -> ["ann-01"]'}
    assert done.artifacts["judge"].results == {"consumed": {"ann-02": 1}}


@pytest.mark.parametrize(
    ("override", "why"),
    [("seed=1", "seed 0 -> 1"), ("model.new=tiny", "input model changed"), ("inputs.text=synthetic:prompts", "input text changed")],
)
def test_seed_model_and_inputs_are_part_of_what_a_stage_is_made_from(tmp_path, override, why):
    path = page(tmp_path)
    run(load(path), tmp_path / "run")
    ran = run(load(path, [override]), tmp_path / "run").ran
    assert why in ran["base"] and set(ran) == set(load(path).steps)


def test_the_seed_counts_also_where_no_input_carries_it(tmp_path):
    path = page(tmp_path)
    run(load(path, ["stages.base.data=null"]), tmp_path / "run")
    assert set(run(load(path, ["stages.base.data=null", "seed=1"]), tmp_path / "run").ran) == set(load(path).steps)


def test_the_content_of_a_file_counts_not_its_date(tmp_path):
    path, data = page(tmp_path), tmp_path / "text.jsonl"
    data.write_text('{"text": "a"}\n')
    overrides = [f"inputs.text={data}"]
    run(load(path, overrides), tmp_path / "run")
    os.utime(data, (1, 1))
    assert run(load(path, overrides), tmp_path / "run").ran == {}
    data.write_text('{"text": "b"}\n')
    assert run(load(path, overrides), tmp_path / "run").ran["base"] == "input text changed"


def test_a_new_revision_makes_a_stage_again(tmp_path, monkeypatch):
    path = page(tmp_path)
    run(load(path), tmp_path / "run")
    monkeypatch.setattr(tiny_stages.Judge, "revision", 2)
    assert run(load(path), tmp_path / "run").ran == {"judge": "revision 1 -> 2"}


def test_other_code_counts_only_when_strict(tmp_path, monkeypatch):
    path = page(tmp_path)
    run(load(path), tmp_path / "run")
    monkeypatch.setattr("tutelage.recipes.runner.code_hash", lambda: "other")
    assert run(load(path), tmp_path / "run").ran == {}
    ran = run(load(path), tmp_path / "run", strict=True).ran
    assert ran["base"] == "the code changed (--strict)" and set(ran) == set(load(path).steps)


def test_cost_counts_tokens_and_figures_pass_through(tmp_path):
    told = Told()
    made = run(load(page(tmp_path)), tmp_path / "run", told).artifacts["twin"]
    assert made.cost["tokens"] == 6 * 7 and made.cost["seconds"] > 0 and made.cost["peak_rss"] > 2**20
    assert made.cost["tokens_per_s"] == pytest.approx(made.cost["tokens"] / made.cost["seconds"])
    assert told.ticks[0] == (1, 7, {"loss": 1.0}) and any(note.startswith("[1/7] base: not made yet") for note in told.notes)


def test_the_journal_says_which_stage_wrote(tmp_path):
    run(load(page(tmp_path)), tmp_path / "run")
    assert [(e["stage"], e["judged"]) for e in Run.view(tmp_path / "run").events()] == [("people", 3)]


def test_another_recipe_is_refused(tmp_path):
    run(load(page(tmp_path)), tmp_path / "run")
    other = tmp_path / "other.yaml"
    other.write_text(PAGE)
    with pytest.raises(UserError, match="made by the recipe 'small', not 'other'"):
        run(load(str(other)), tmp_path / "run")


def test_decisions_are_obeyed_and_another_machine_is_refused(tmp_path, monkeypatch):
    path = page(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run(load(path), tmp_path / "run")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    run(load(path), tmp_path / "run")
    assert Run.view(tmp_path / "run").manifest["decisions"]["threads"] == 1
    monkeypatch.setattr("tutelage.recipes.decisions.processor", lambda: "Another")
    with pytest.raises(UserError, match="add --inexact"):
        run(load(path), tmp_path / "run")
    assert run(load(path), tmp_path / "run", inexact=True).ran == {}
    assert Run.view(tmp_path / "run").manifest["decisions"]["processor"] == "Another"


def test_the_recipe_that_ran_lies_beside_the_results_and_runs(tmp_path):
    first = run(load(page(tmp_path), ["stages.ppo.rate=1e-5"]), tmp_path / "run")
    again = load(str(tmp_path / "run" / "recipe.yaml"))
    assert again.steps["ppo"].settings["rate"] == 1e-5 and again.steps == {n: again.steps[n] for n in first.artifacts}


def test_a_real_bug_is_not_hidden_and_what_was_made_stays(tmp_path):
    path = page(tmp_path)
    with pytest.raises(ZeroDivisionError):
        run(load(path, ["stages.ppo.word=break"]), tmp_path / "run")
    assert "sft" not in run(load(path), tmp_path / "run").ran


def command(path, out, *more):
    return [sys.executable, "-m", "tutelage", "run", path, "--out", str(out), *more]


def environment():
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}


def killed(path, out, at):
    """Begin a run, kill it after `at` seconds, say whether it was still at work."""
    process = subprocess.Popen(command(path, out), cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        process.wait(at)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    assert process.returncode == 0, process.stderr.read().decode()
    return False


def seconds_of(path, out):
    began = time.monotonic()
    assert not killed(path, out, 600)
    return time.monotonic() - began


def kill_and_compare(tmp_path, seeds):
    text = folder_model(tmp_path).replace(":Chain", ':Chain", pause: 0.02, steps: 8, word: "a')
    text = text.replace("{like: ppo, steps: 6}", "{like: ppo, steps: 9}").replace("init: twin", "init: twin, rate: 0.2")
    path = page(tmp_path, text)
    took = min(seconds_of(path, tmp_path / name) for name in ("whole", "again"))  # the first may read libraries from a cold disk
    whole = weights(tmp_path / "whole")
    assert weights(tmp_path / "again") == whole
    for seed in seeds:
        out = tmp_path / f"killed-{seed}"
        kills = 0
        for n, u in enumerate(uniforms(200, "kills", seed)):
            if not killed(path, out, took * (0.65 + 0.3 * u + 0.01 * n)):  # from within the imports to the last stages
                break
            kills += 1
        assert kills >= 1
        assert weights(out) == whole
        for links in out.glob("artifacts/*/links.jsonl"):
            steps = [json.loads(line)["step"] for line in links.read_text().splitlines()]
            assert steps == list(range(len(steps))), "each step once"


def test_killed_at_random_moments_the_same_bytes_come_out(tmp_path):
    kill_and_compare(tmp_path, seeds=[1])


@pytest.mark.long
def test_killed_at_many_random_moments_the_same_bytes_come_out(tmp_path):
    kill_and_compare(tmp_path, seeds=range(2, 12))


def test_ctrl_c_leaves_with_130_and_goes_on(tmp_path):
    path = page(tmp_path, folder_model(tmp_path).replace("rate: 0.03", "rate: 0.03, pause: 0.1, steps: 20"))
    out = tmp_path / "run"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # Where the tests run in the background, Ctrl-C is ignored and children inherit that.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = subprocess.Popen(command(path, out), cwd=ROOT, env=environment(), **pipes, **heard)
    while not list(out.glob("artifacts/.building-ppo-*/links.jsonl")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and "The same command goes on from there." in said and "Traceback" not in said
    begun = next(out.glob("artifacts/.building-ppo-*/links.jsonl")).read_bytes()
    assert run(load(path, ["stages.ppo.pause=0.1"]), out).artifacts["ppo"].results["last"]
    finished = next(out.glob("artifacts/ppo-*/links.jsonl")).read_bytes()
    assert finished.startswith(begun) and len(begun) > 0


def test_a_run_in_use_is_refused_while_it_is(tmp_path):
    with Run.open(tmp_path / "run", recipe="small", create=True):
        done = subprocess.run(
            command(page(tmp_path, folder_model(tmp_path)), tmp_path / "run"), cwd=ROOT, env=environment(), capture_output=True, text=True
        )
    assert done.returncode == 2 and "in use by process" in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_hashes_differ_where_anything_differs(tmp_path):
    recipe = load(page(tmp_path))
    from tutelage.recipes.runner import plan

    hashes = {item.step.name: item.hash for item in plan(recipe, None)}
    assert len(set(hashes.values())) == len(hashes) and all(len(h) == len(hashlib.sha256().hexdigest()) for h in hashes.values())
