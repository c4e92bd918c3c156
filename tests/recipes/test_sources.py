"""What `model:` may name: a folder, or a hub id, which isn't asked for before it is needed; and the commit that a run directory keeps."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.batch import command
from tests.hub import Hub
from tests.models.hub.conftest import hub, sharded  # noqa: F401  (a fixture)
from tests.recipes import small_run
from tests.recipes.pages import PAGE, folder_model, page
from tutelage.core.errors import UserError
from tutelage.models.hub.name import HubName
from tutelage.recipes import base
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run
from tutelage.recipes.sources import model_of

WRITTEN = PAGE.replace("{new: nano}", "someone/model@v1")


def test_a_hub_id_is_not_asked_for_while_a_recipe_is_read() -> None:
    found = model_of("someone/tiny@v2", "model")
    assert found.hub == HubName("someone/tiny", "v2") and found.path is None


@pytest.mark.parametrize("given", ["no-such-folder", "./someone/model", "a/b/c", "someone/model@"])
def test_what_is_neither_folder_nor_hub_id(given: str) -> None:
    with pytest.raises(UserError, match=r"recipe\.yaml:3 model: there is no folder .*, and it is no hub id such as"):
        model_of(given, "recipe.yaml:3 model")


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no config\.json"):
        model_of(str(tmp_path), "model")


# What a file of a folder holds -> what is said when the recipe is read, which a plan does too.
DAMAGED = {
    ("config.json", "{"): "can't be read as JSON",
    ("config.json", "[]"): "holds no object with a model_type",
    ("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 5\n"): "is not the weights but git-lfs's note",
    ("model.safetensors", ""): "has no whole header",
    ("model.safetensors", "\x02" + 7 * "\0" + "{}and more"): "has 18 bytes where its header says 10",
}


@pytest.mark.parametrize("file, holds", DAMAGED)
def test_a_damaged_folder_is_refused_when_the_recipe_is_read(file: str, holds: str, tmp_path: Path) -> None:
    path = page(tmp_path, folder_model(tmp_path))
    load(path)
    (tmp_path / "model" / file).write_text(holds)
    with pytest.raises(UserError) as refused:
        load(path)
    assert str(tmp_path / "model" / file) in str(refused.value) and DAMAGED[file, holds] in str(refused.value)


def test_a_damaged_index_is_refused_when_the_recipe_is_read(tmp_path: Path) -> None:
    path = page(tmp_path, folder_model(tmp_path))
    weights = tmp_path / "model" / "model.safetensors"
    weights.with_suffix(".safetensors.index.json").write_text('{"weight_map": []}')
    load(path)  # one file goes before many, as in transformers
    weights.unlink()
    with pytest.raises(UserError, match=r"model\.safetensors\.index\.json says of no weights"):
        load(path)


def test_what_is_missing_is_so_for_a_run_and_not_for_a_plan(tmp_path: Path) -> None:
    path = page(tmp_path, folder_model(tmp_path))
    (tmp_path / "model" / "model.safetensors").unlink()
    assert command("plan", path, "--no-rehearse", folder=tmp_path).code == 0
    for file, holds, said in [
        ("pytorch_model.bin", "", "holds its weights only as pytorch_model.bin, which is not read"),
        ("model.safetensors.index.json", '{"weight_map": {"a": "model-1.safetensors"}}', "model-1.safetensors is missing"),
    ]:
        (tmp_path / "model" / file).write_text(holds)
        answer = command("run", path, "--out", "run", folder=tmp_path)
        assert answer.code == 2 and said in answer.err and len(answer.err.strip().splitlines()) == 1, answer
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "setting, said", [({"num_hidden_layers": 9}, "the weights lack model.layers."), ({"hidden_size": 64}, "was saved in the shape")]
)
def test_weights_that_only_loading_finds_wrong_leave_no_run_behind(setting: dict[str, int], said: str, tmp_path: Path) -> None:
    path = small_run.page(tmp_path)
    config = tmp_path / "base" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **setting}))
    answer = command("run", path, "--out", "run", folder=tmp_path)
    assert answer.code == 2 and said in answer.err and "Traceback" not in answer.err, answer
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("written", ["{hub: someone/model, trust_remote_code: true}", "{hub: someone/model}", "{trust_remote_code: true}"])
def test_code_from_a_hub_is_never_run(written: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 2: model: give a hub's model by its id alone.*\(trust_remote_code\)"):
        load(page(tmp_path, PAGE.replace("{new: nano}", written)))


def test_a_run_keeps_the_commit_and_another_commit_is_another_model(hub: Hub, tmp_path: Path) -> None:  # noqa: F811
    first = hub.push("someone/model", sharded(), branch="v1")
    recipe, out = page(tmp_path, WRITTEN), tmp_path / "run"
    made = run(load(recipe), out)
    noted = json.loads((out / "manifest.json").read_text())["model"]
    assert (noted["repository"], noted["revision"], noted["commit"]) == ("someone/model", "v1", first) and len(noted["files"]) == 8
    second = hub.push("someone/model", sharded(**{"README.md": b"moved"}), branch="v1")
    again = run(load(recipe), out)
    assert not again.ran and again.artifacts["base"].inputs == made.artifacts["base"].inputs, "moved, but the run goes on as it began"
    other = run(load(recipe, [f"model=someone/model@{second}"]), out)
    assert other.ran["base"] == "input model changed" and other.ran["sft"] == "comes after base"
    assert json.loads((out / "manifest.json").read_text())["model"]["commit"] == second


def test_a_run_that_is_whole_needs_no_weights(hub: Hub, tmp_path: Path) -> None:  # noqa: F811
    hub.push("someone/model", sharded(), branch="v1")
    recipe, out = page(tmp_path, WRITTEN), tmp_path / "run"
    found = base.looked_up(load(recipe), out, lambda line: None).model.snapshot
    assert found is not None and not any(file.endswith(".safetensors") for file in hub.fetched())
    run(load(recipe), out)
    weights = [file for file in found.files if file.endswith(".safetensors")]
    for file in weights:
        (found.folder / file).unlink()
    assert not run(load(recipe), out).ran and not any((found.folder / file).exists() for file in weights)
    again = run(load(recipe, ["stages.base.word=b"]), out)
    assert "base" in again.ran and all((found.folder / file).exists() for file in weights)


def test_a_model_made_by_its_own_code_is_refused_before_its_weights_come(hub: Hub, tmp_path: Path) -> None:  # noqa: F811
    config = json.dumps({"model_type": "own", "hidden_size": 8, "num_hidden_layers": 1, "auto_map": {"AutoConfig": "modeling_own.C"}})
    hub.push("someone/model", sharded(**{"config.json": config.encode()}), branch="v1")
    with pytest.raises(UserError, match=r"\(own\) is made by code of its own \(auto_map\), which is never run"):
        run(load(page(tmp_path, WRITTEN)), tmp_path / "run")
    assert "modeling_own.py" not in hub.fetched() and not any(file.endswith(".safetensors") for file in hub.fetched())


def test_commands_by_the_environment_that_everybody_uses(hub: Hub, tmp_path: Path) -> None:  # noqa: F811
    """HF_ENDPOINT and HF_HOME in a process of its own; then --offline."""
    commit = hub.push("someone/model", sharded(), branch="v1")
    recipe = page(tmp_path, WRITTEN)
    known = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home")}
    planned = command("plan", recipe, "--out", "run", folder=tmp_path, **known)
    assert planned.code == 0 and f"commit {commit[:12]}: config and tokenizer, 6 files" in planned.err, planned
    assert not any(file.endswith(".safetensors") for file in hub.fetched())
    done = command("run", recipe, "--out", "run", folder=tmp_path, **known)
    assert done.code == 0 and "weights, 2 files, 2.1 kB" in done.err and "config and tokenizer" not in done.err, done
    hub.asked.clear()
    offline = command("run", recipe, "--out", "other", "--offline", folder=tmp_path, **known)
    assert offline.code == 0 and "is the cache's copy" in offline.err and not hub.asked, offline
    gone = command("run", recipe, "model=no/model", "--out", "third", "--offline", folder=tmp_path, **known)
    assert (
        gone.code == 2 and "nor is no/model@main in the hub's cache here (--offline)" in gone.err and not os.path.exists(tmp_path / "third")
    )
