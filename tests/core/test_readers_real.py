"""The readers on real public files: every row, and the counts that the files state."""

from pathlib import Path

import pytest

from tutelage.core.errors import UserError
from tutelage.core.readers import demonstrations, documents, labels, preferences, prompts


def test_demonstrations(shared_data: Path) -> None:
    made = list(demonstrations(shared_data / "sft_dolly_3k.jsonl.gz"))
    assert len(made) == 2704 and made[0].prompt.last == "How do I start running?" and made[0].response.text.startswith("Make sure")


def test_empty_responses_of_alpaca_are_named_or_skipped(shared_data: Path) -> None:
    path = shared_data / "sft_alpaca.jsonl.gz"
    with pytest.raises(UserError, match=r"sft_alpaca.jsonl.gz:\d+: field 'output': the response is empty"):
        list(demonstrations(path))
    assert len(list(demonstrations(path, skip_empty=True))) == 13859 - 8


@pytest.mark.parametrize("name, rows", [("pref_hh_harmless", 1723), ("pref_hh_helpful", 1680), ("pref_llamafactory_dpo_demo", 253)])
def test_preferences(shared_data: Path, name: str, rows: int) -> None:
    made = list(preferences(shared_data / f"{name}.jsonl.gz"))
    assert len(made) == rows
    for asked, (chosen, rejected), answer in made:
        assert asked.messages[-1].role == "user" and answer == {"winner": 0}
        assert chosen.text != rejected.text and "\n\nHuman:" not in asked.last
    assert [asked for asked, _, _ in made] == list(prompts(shared_data / f"{name}.jsonl.gz"))


def test_labels_are_no_demonstrations(shared_data: Path) -> None:
    path = shared_data / "binary_llamafactory_kto_demo.jsonl.gz"
    made = list(labels(path))
    assert len(made) == 248 and {wanted for _, _, wanted in made} == {True, False}
    with pytest.raises(UserError, match=r"kto_demo.jsonl.gz:1: field 'label': a labelled response"):
        list(demonstrations(path))
    assert len(list(prompts(path))) == 248


def test_documents(shared_data: Path) -> None:
    assert len(list(documents(shared_data / "text_wikitext2.jsonl.gz"))) == 60
    assert len(list(documents(shared_data / "text_wiki_c4_demo.jsonl.gz"))) == 299


def test_files_that_are_something_else_are_refused_at_their_first_row(shared_data: Path) -> None:
    for name, message in [
        ("tools_llamafactory_glaive_demo", ":1: field 'tools': definitions of functions are not read yet"),
        ("sft_selfinstruct_seed", ":1: expected messages, conversations, prompt and completion, or instruction and output"),
        ("text_wikitext2", ":1: expected messages, conversations"),
        ("eval_vicuna80", "this row has question_id, category, turns"),
    ]:
        with pytest.raises(UserError, match=message):
            list(demonstrations(shared_data / f"{name}.jsonl.gz"))
