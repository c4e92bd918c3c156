"""What a license's name says, where it is kept, and what --commercial refuses."""

import pytest
import yaml

from tests.recipes.pages import PAGE, folder_model, page
from tutelage.core.errors import UserError
from tutelage.core.run import Run
from tutelage.recipes import licenses
from tutelage.recipes.licenses import Ingredient, check_commercial, ingredients, of_folder, terms
from tutelage.recipes.lineage import origin
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("free", "Apache-2.0 mit bsd-3-clause cc-by-4.0 CC0-1.0 own odc-by"),
        ("conditions", "llama2 llama3.1 gemma cc-by-sa-4.0 gpl-3.0 agpl-3.0-only bigscience-openrail-m"),
        ("noncommercial", "cc-by-nc-4.0 CC-BY-NC-SA-3.0 cc-by-nc-nd-4.0 PolyForm-Noncommercial-1.0.0 fair-noncommercial-research-license"),
        (
            "unknown",
            ["", "other", "my-license", "llama", "cc-by-nice", "ncsa-like"],
        ),
    ],
)
def test_names(kind, names):
    for name in names.split() if isinstance(names, str) else names:
        assert terms(name).kind == kind, name
    assert "700 million" in terms("llama3").text and "prohibited-use" in terms("gemma").text


def front(folder, **fields):
    folder.mkdir(exist_ok=True)
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump(fields)}---\n# A model\n")
    return of_folder(folder)


def test_a_models_own_card_tells_its_license(tmp_path):
    assert of_folder(tmp_path) == "" and front(tmp_path, license="llama3.1") == "llama3.1"
    assert front(tmp_path, license="other", license_name="qwen-research") == "qwen-research"
    assert front(tmp_path, license=["mit", "apache-2.0"]) == "mit" and front(tmp_path, tags=["x"]) == ""
    (tmp_path / "README.md").write_text("# No front matter\n\n---\nlicense: mit\n---\n")
    assert of_folder(tmp_path) == ""


def small(tmp_path, said=""):
    return load(page(tmp_path, folder_model(tmp_path).replace("stages:", f"{said}\nstages:", 1)))


def test_a_license_is_kept_in_the_manifest_by_content_and_trains_nothing(tmp_path):
    front(tmp_path / "model", license="llama3.1")
    assert len(run(small(tmp_path), tmp_path / "run").ran) == 7
    again = run(small(tmp_path, "licenses: {text: cc-by-nc-4.0, model: mit}"), tmp_path / "run")
    assert again.ran == {}, "stating it is no reason to train"
    opened = Run.view(tmp_path / "run")
    found = {part.name: part for part in ingredients(opened, origin(opened, "ppo"))}
    assert found["text"].license == "cc-by-nc-4.0" and found["text"].stages == ("base",)
    assert found["model"].licenses == ("mit", "llama3.1"), "the recipe's and the model's own"
    assert all(key.count(":") == 1 and len(key.split(":")[1]) == 64 for key in opened.manifest["sources"])


def test_another_file_of_the_same_name_has_its_own_license(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a"}\n')
    text = folder_model(tmp_path).replace("synthetic:text", str(rows))
    run(load(page(tmp_path, text.replace("stages:", "licenses: {text: cc-by-nc-4.0}\nstages:", 1))), tmp_path / "run")
    first = origin(Run.view(tmp_path / "run"), "ppo")
    rows.write_text('{"text": "b"}\n')
    run(load(page(tmp_path, text.replace("stages:", "licenses: {text: mit}\nstages:", 1))), tmp_path / "run")
    opened = Run.view(tmp_path / "run")
    now = [next(part.license for part in ingredients(opened, found) if part.name == "text") for found in (first, origin(opened, "ppo"))]
    assert now == ["cc-by-nc-4.0", "mit"]


def test_a_license_of_nothing_is_refused_with_its_line(tmp_path):
    with pytest.raises(UserError, match=r"small.yaml line 4: licenses.tex: there is no input 'tex'; did you mean 'text'"):
        small(tmp_path, "licenses: {tex: mit}")


def part(name, license, told="", given="", stages=("sft",)):
    return Ingredient(name, given or f"/home/someone/{name}.jsonl", license, told, stages)


def test_commercial_names_each_and_how_it_came_in():
    check_commercial((part("a", "mit"), part("b", "llama3.1"), part("c", "own")), "ppo")
    with pytest.raises(UserError) as refused:
        check_commercial((part("a", "mit"), part("b", "cc-by-nc-4.0", stages=("sft", "dpo")), part("c", ""), part("d", "mine")), "ppo")
    said = str(refused.value)
    assert "b (b.jsonl) (cc-by-nc-4.0: not for commercial use), through sft and dpo" in said and "a.jsonl" not in said
    assert "c (c.jsonl) (no license is stated), through sft" in said and "d (d.jsonl) (mine: not a license that is known here)" in said
    with pytest.raises(UserError, match=r"cc-by-nc-2\.0"):
        check_commercial((part("model", "mit", told="cc-by-nc-2.0"),), "ppo")


def test_what_is_built_in_is_free(tmp_path):
    run(load(page(tmp_path, PAGE)), tmp_path / "run")
    opened = Run.view(tmp_path / "run")
    parts = ingredients(opened, origin(opened, "ppo"))
    assert {p.name: p.license for p in parts} == {"text": "apache-2.0", "model": "own"}
    licenses.check_commercial(parts, "ppo")
