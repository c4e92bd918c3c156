"""The whole pipeline at nano size, once; then everything that a user does to a finished run. No effect is claimed at this size."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tutelage
from tutelage.core.run import Run
from tutelage.recipes import lineage

SMALL = [
    "model.new=nano",
    "stages.base.tokens=40000",
    "stages.sft.tokens=20000",
    "stages.preferences.count=40",
    "stages.ppo.updates=2",
    "stages.evaluate.count=36",
    "stages.evaluate.pair_prompts=30",
]
STAGES = ["base", "sft", "preferences", "reward_model", "ppo", "ppo_no_ptx", "dpo", "evaluate"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pipeline") / "run"
    outcome = tutelage.run("instructgpt", out, SMALL)
    assert sorted(outcome.ran) == sorted(STAGES)
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def report(path: Path) -> dict:
    (found,) = path.glob("artifacts/evaluate-*/report.json")
    return json.loads(found.read_text())


def test_a_second_run_has_nothing_to_do(finished: Path) -> None:
    assert tutelage.run("instructgpt", finished, SMALL).ran == {}


def test_one_setting_of_ppo_makes_ppo_again_and_what_comes_after(run: Path) -> None:
    ran = tutelage.run("instructgpt", run, [*SMALL, "stages.ppo.kl_coef=0.1"]).ran
    # ppo_no_ptx is `like: ppo`, so the setting is its own too.
    assert list(ran) == ["ppo", "ppo_no_ptx", "evaluate"]
    assert "kl_coef 0.3 -> 0.1" in ran["ppo"] and "ppo" in ran["evaluate"]
    assert tutelage.run("instructgpt", run, SMALL).ran == {}, "what was made before is found again"


def test_leaving_one_annotator_out_never_judges_again(run: Path) -> None:
    people = lineage.origin(Run.view(run), "reward_model").people
    someone = max(people, key=lambda name: people[name])
    without = f"stages.reward_model.preferences={{from: preferences, without: [{someone}]}}"
    ran = tutelage.run("instructgpt", run, [*SMALL, without]).ran
    assert set(ran) == {"reward_model", "ppo", "ppo_no_ptx", "evaluate"}
    left = lineage.origin(Run.view(run), "reward_model").people
    assert someone not in left and left == {name: n for name, n in people.items() if name != someone}


def test_lineage_leads_back_to_every_annotator(finished: Path) -> None:
    plain = json.dumps(lineage.as_json(lineage.origin(Run.view(finished), "ppo")))
    judged = Run.view(finished)
    preferences = judged.find("preferences", judged.current()["preferences"])
    assert preferences is not None
    assert sum(preferences.results["annotators"].values()) == preferences.results["annotations"] == 40
    for name in preferences.results["annotators"]:
        assert name in plain
    for stage in ("base", "sft", "preferences", "reward_model"):
        assert f'"{stage}"' in plain


def test_the_report_has_the_promised_form(finished: Path) -> None:
    plain = report(finished)
    for name in ("overall", "helpful", "honest", "harmless", "heldout", "forgetting", "diversity"):
        for stage in ("base", "sft", "ppo", "ppo_no_ptx", "dpo"):
            figures = plain["evals"][name][stage]
            assert {"mean", "low", "high", "n"} <= set(figures) and math.isfinite(figures["mean"])
    assert {"a", "b", "eval", "difference", "low", "high", "n"} <= set(plain["comparisons"][0])
    assert {(c["a"], c["b"]) for c in plain["comparisons"] if c["eval"] == "overall"} >= {
        ("ppo", "sft"),
        ("ppo", "sft best of 4"),
        ("dpo", "sft"),
    }
    for name in ("gold", "proxy", "kl"):
        assert {"ppo", "ppo_no_ptx"} <= set(plain["curves"][name])
    assert plain["curves"]["kl"]["ppo"][0]["value"] == 0.0, "a policy begins as its reference, exactly"
    for stage in STAGES:
        assert plain["cost"][stage]["seconds"] > 0 and plain["cost"][stage]["peak_rss"] > 0
    assert plain["evals"]["reward_accuracy"]["reward_model"]["n"] > 0
    assert [claim["held"] for claim in plain["expected"]] == [c["held"] for c in plain["expected"]] and len(plain["expected"]) == 4


def test_metrics_hold_each_step_once(finished: Path) -> None:
    for path in finished.glob("artifacts/*/metrics.jsonl"):
        steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
        assert steps == list(range(1, len(steps) + 1)), path


def test_sft_learns_from_text_beside_its_demonstrations(finished: Path) -> None:
    (path,) = finished.glob("artifacts/sft-*/metrics.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(row["ptx/nll"] > 0 and row["sft/nll"] > 0 for row in rows)


PLAIN = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
assert not any(name.startswith("tutelage") for name in sys.modules)
policy, reward = sys.argv[1:3]
tokenizer, model = AutoTokenizer.from_pretrained(policy), AutoModelForCausalLM.from_pretrained(policy)
asked = [{"role": "user", "content": "what pet does mira have ?"}]
ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
scorer = AutoModelForSequenceClassification.from_pretrained(reward)
out = model.generate(torch.tensor([ids]), max_new_tokens=8, do_sample=False)
print(json.dumps({
    "ids": ids, "end": model.generation_config.eos_token_id, "pad": model.generation_config.pad_token_id, "text": out[0].tolist(),
    "logits": model(torch.tensor([ids])).logits[0, -1].tolist(),
    "score": scorer(torch.tensor([[*ids, tokenizer.eos_token_id]])).logits[0, 0].item(),
    "shift": scorer.config.score_shift, "scale": scorer.config.score_scale}))
"""


def test_saved_stages_load_where_tutelage_is_not_imported(finished: Path) -> None:
    import torch

    from tutelage.core.text import Response, ask
    from tutelage.data.batch import pack
    from tutelage.data.render import Renderer
    from tutelage.models import weights
    from tutelage.models.policy import Policy
    from tutelage.models.roles import Role

    view = Run.view(finished)
    folders = [view.find(stage, view.current()[stage]).path / "model" for stage in ("ppo", "reward_model")]
    out = subprocess.run([sys.executable, "-I", "-c", PLAIN, *map(str, folders)], capture_output=True, text=True, check=True).stdout
    plain = json.loads(out)
    model, tokenizer = weights.load(folders[0], torch.float32)
    render = Renderer(tokenizer)
    prompt = ask("what pet does mira have ?")
    assert plain["ids"] == list(render.prompt(prompt))
    assert plain["end"] == render.end == tokenizer.eos_token_id and plain["pad"] == tokenizer.pad_token_id != render.end
    with torch.no_grad():
        expected = model(torch.tensor([plain["ids"]])).logits[0, -1]
    assert torch.allclose(torch.tensor(plain["logits"]), expected, atol=1e-5)
    scorer, _ = weights.load(folders[1], torch.float32)
    judge = Policy({"policy": Role(scorer, None, weights.load_head(folders[1]))}, tokenizer)
    with torch.no_grad():
        score = float(judge.read(pack([render.tree(prompt, [Response("")])]), ("score",))["score"][0])
    assert (plain["score"] - plain["shift"]) * plain["scale"] == pytest.approx(score, abs=1e-4)
