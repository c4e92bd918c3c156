"""study.yaml and the files that it names: strict, with the place of every fault."""

import json

import pytest

from tests.feedback.studies import rows, study, write
from tutelage.core.errors import UserError
from tutelage.core.schema import documentation
from tutelage.feedback.flags import TABLE_3
from tutelage.feedback.study import study as pages
from tutelage.feedback.study.items import read_items
from tutelage.feedback.study.study import Study, read_study
from tutelage.recipes import people

PAGE = """schema: 1
title: Which answer helps more?
store: study.sqlite
guidelines: guidelines.md
items: items.jsonl
responses: {from: [runs/demo:sft, MODEL], count: 4, max_tokens: 256}
questions:
  - {task: ranking, name: order, ask: "Which one would you send?", flags: table_3}
  - {task: score, aspect: honest, low: 1, high: 5, flags: [hallucination, {name: rude, label: Rude, key: r}, off_topic]}
overlap: 2
gold: {items: gold.jsonl, rate: 0.05}
repeats: 0.05
practice: practice.jsonl
screening: {items: screening.jsonl, agreement: 0.75, demonstrations: 6.0}
disagreement: {below: 0.5, more: 2}
lease_minutes: 10
people: [{name: ann-01, expertise: [medical]}, {name: boss, role: admin}]
keys: {undo: u, skip: s}
pay_per_hour: 15.0
webhooks: [{url: "https://example.org/hook", events: [annotation, question]}]
"""


@pytest.fixture
def page(tmp_path):
    """A folder with a whole study; a function that reads it with some lines replaced."""
    (tmp_path / "guidelines.md").write_text("# Be fair\n")
    write(tmp_path, "items.jsonl", rows(3))
    for name in ("gold", "practice", "screening"):
        write(tmp_path, f"{name}.jsonl", [{**row, "answer": {"order": {"tiers": [[0], [1], [2]]}}} for row in rows(2, start=50)])

    def read(old="", new=""):
        assert old in PAGE
        (tmp_path / "study.yaml").write_text(PAGE.replace(old, new) if old else PAGE)
        return read_study(tmp_path / "study.yaml")

    return read


def test_a_page_says_a_whole_study(page, tmp_path):
    made = page()
    assert [(q.name, q.task, q.aspect) for q in made.questions] == [("order", "ranking", "overall"), ("score", "score", "honest")]
    order, score = made.questions
    assert order.flags == TABLE_3 and order.words(3) == "Which one would you send?" and "response" in score.words(3)
    assert [(f.name, f.label, f.key) for f in score.flags][1:] == [("rude", "Rude", "r"), ("off_topic", "Off topic", "")]
    assert score.flags[0] == next(f for f in TABLE_3 if f.name == "hallucination")
    assert (score.options.low, score.options.high) == (1, 5) and score.form(3)[0].high == 5
    assert made.items == tmp_path / "items.jsonl" and made.store == str(tmp_path / "study.sqlite") and made.gold.items.is_absolute()
    assert made.guideline.text == "# Be fair\n" and len(made.guideline.version) == 16
    assert made.responses.from_ == ("runs/demo:sft", "MODEL") and made.people[0].expertise == ("medical",)
    assert {q.name for q in made.questions} == {"order", "score"}


def test_keys_may_change_places(page):
    assert page("undo: u, skip: s", "undo: s, skip: u").keys == {"undo": "s", "skip": "u"}


def test_the_version_of_the_guidelines_is_their_text(page, tmp_path):
    before = page().guideline.version
    (tmp_path / "guidelines.md").write_text("# Be kind\n")
    assert page().guideline.version != before
    (tmp_path / "guidelines.md").unlink()
    with pytest.raises(UserError, match=r"guidelines\.md: the guidelines cannot be read: No such file"):
        page()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("overlap: 2", "overlapp: 2", r"line 10: overlapp: unknown setting; did you mean 'overlap'"),
        ("overlap: 2", "overlap: 0", r"line 10: overlap: 0 is out of range"),
        ("overlap: 2", "overlap: two", r"line 10: overlap: expected a whole number"),
        ("schema: 1", "schema: 2", r"line 1: schema: 2 is not one of 1"),
        ("low: 1", "lowest: 1", r"line 9: questions\.1\.lowest: unknown setting of the task score; did you mean 'low'"),
        ("low: 1", "low: high", r"line 9: questions\.1\.low: expected a number"),
        ("low: 1", "low: 9", r"line 9: questions\.1: .*low"),
        ("task: ranking", "task: rankin", r"line 8: questions\.0\.task: there is no annotation task 'rankin'; did you mean 'ranking'"),
        ("task: ranking, name: order", "name: order", r"line 8: questions\.0: the setting 'task' is missing"),
        ("name: order", "name: or.der", r"questions\.0: the name 'or\.der' has other letters"),
        ("name: order", "name: score", r"two of its questions have the same name"),
        ("name: rude", "name: hallucination", r"two flags are named 'hallucination'"),
        ("aspect: honest", "aspekt: honest", r"unknown setting of the task score; did you mean 'aspect'"),
        (
            "honest, low: 1, high: 5",
            "honest}\n  - {task: score, name: b, aspect: honest",
            r"questions score and b have one task and one aspect",
        ),
        ("rate: 0.05", "rate: 5", r"line 11: gold\.rate: 5\.0 is out of range; allowed: 0 <= value <= 0\.5"),
        ("gold.jsonl", "nowhere.jsonl", r"nowhere\.jsonl: no such file"),
        ("items: items.jsonl", "items: nowhere.jsonl", r"nowhere\.jsonl: no such file"),
        ("name: boss", "name: ann-01", r"two of its people have the same name"),
        ("role: admin", "role: chief", r"people\.1\.role: .*'chief' is not one of annotator, reviewer, admin"),
        ("skip: s", "skip: u", r"line 18: keys\.undo: 'u' is the key of skip already; give skip another key, too"),
        ("keys: {undo: u, skip: s}", "keys: {undo: s}", r"line 18: keys\.undo: 's' is the key of skip already; give skip another key"),
        ("undo: u", "udno: z", r"line 18: keys\.udno: there is no such command; did you mean 'undo'"),
        ("undo: u", "x: z", r"line 18: keys\.x: there is no such command; commands are undo, skip, flags"),
        ("undo: u", 'undo: "1"', r"line 18: keys\.undo: digits and = rank and pick responses, so 1 can't be the key of undo"),
        ("undo: u", "undo: 1", r"line 18: keys\.undo: digits and = rank"),
        ("undo: u", 'undo: "="', r"line 18: keys\.undo: digits and = rank"),
        ("undo: u", "undo: ctrl+z", r"line 18: keys\.undo: 'ctrl\+z' is no single key; give one sign, like z"),
        ("undo: u", 'undo: " "', r"line 18: keys\.undo: ' ' is no single key"),
        ("undo: u", "undo: [z]", r"line 18: keys\.undo: .* is no single key"),
        ("https://example.org/hook", "ftp://example.org", r"webhooks\.0: .*is no address"),
        ("study.sqlite", "mysql://x/y", r"line 3: store: a store is a file for SQLite, or a postgresql:// address"),
        ("lease_minutes: 10", "lease_minutes: 0", r"lease_minutes: 0.* is out of range"),
    ],
)
def test_what_is_wrong_on_the_page_is_said_with_its_line(page, old, new, said):
    with pytest.raises(UserError, match=said):
        list(page(old, new).every_item())


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "q", "expertice": "x"}, r"items\.jsonl:1: field 'expertice': is no field of an item; did you mean 'expertise'"),
        ({"promt": "q"}, r"items\.jsonl:1: .*did you mean|is no field of an item; did you mean 'prompt'"),
        ({"responses": ["a", "b"]}, r"items\.jsonl:1: no prompt"),
        ({"prompt": 3}, r"field 'prompt'"),
        ({"prompt": "q", "responses": "a"}, r"field 'responses': expected a list of texts, got text"),
        ({"prompt": "q", "responses": ["a", 3]}, r"field 'responses\[1\]': expected text, got a number"),
        ({"prompt": "q", "responses": [{"txt": "a"}]}, r"field 'responses\[0\]\.txt': is no field of a response; did you mean 'text'"),
        ({"prompt": "q", "responses": [{"text": "a", "finished": "no"}]}, r"responses\[0\]\.finished': expected true or false"),
        ({"prompt": "q", "overlap": 0}, r"field 'overlap': expected a whole number of people"),
        ({"prompt": "q", "id": "a\nb"}, r"field 'id': expected at most 200 printable"),
        ({"prompt": "q", "answer": [1]}, r"field 'answer': expected"),
    ],
)
def test_what_is_wrong_in_a_row_is_said_with_file_row_and_field(tmp_path, row, said):
    write(tmp_path, "items.jsonl", [row])
    with pytest.raises(UserError, match=said):
        list(read_items(tmp_path / "items.jsonl", "work"))


def test_an_item_is_there_once(tmp_path):
    for twice, said in (
        ([*rows(2), rows(1)[0]], r"items\.jsonl:3: field 'id': is the item of .*items\.jsonl:1 again \(i0\); an id is given once"),
        ([{"prompt": "q"}, {"prompt": "q"}], r"items\.jsonl:2: .*give the rows ids of their own"),
    ):
        write(tmp_path, "items.jsonl", twice)
        with pytest.raises(UserError, match=said):
            list(read_items(tmp_path / "items.jsonl", "work"))


def test_known_answers_are_checked_against_the_questions(tmp_path, page):
    for answer, said in (
        ({"ordr": {"tiers": []}}, "answer: there is no question 'ordr'"),
        ({"order": {"tiers": [[0], [1]]}}, r"item i7: answer\.order: a ranking of 3 responses"),
        ({"order": {"best": 1}}, r"item i7: answer\.order: a ranking is"),
        (None, r"gold\.jsonl:1: field 'answer': is missing"),
    ):
        write(tmp_path, "gold.jsonl", [{**row, **({"answer": answer} if answer else {})} for row in rows(1, start=7)])
        with pytest.raises(UserError, match=said):
            list(page().every_item())


def asks(tmp_path, questions):
    return [(q.name, q.aspect) for q in study(tmp_path, rows(1), questions=questions).questions]


def test_questions_of_one_task_have_aspects_of_their_own(tmp_path):
    """Equal answers to two questions would have one id, and be one annotation."""
    two = "[{task: likert, name: helpful}, {task: likert, name: honest}, {task: pair}]"
    assert asks(tmp_path, two) == [("helpful", "helpful"), ("honest", "honest"), ("pair", "overall")]
    named = "[{task: likert}, {task: likert, name: honest, aspect: truth}]"
    assert asks(tmp_path, named) == [("likert", "overall"), ("honest", "truth")]
    with pytest.raises(UserError, match="the questions a and b have one task and one aspect, so nothing tells their answers apart"):
        asks(tmp_path, "[{task: likert, name: a, aspect: b}, {task: likert, name: b, aspect: b}]")


def test_items_with_responses_are_judged_and_items_without_are_written_about(tmp_path):
    made = study(tmp_path, [*rows(1), {"prompt": "write"}], questions="[{task: ranking}, {task: likert}, {task: demonstration}]")
    assert [[q.name for q in made.asked(len(item.responses))] for item in made.every_item()] == [["ranking", "likert"], ["demonstration"]]
    assert people.wanted(made) == 3
    for k, questions in ((1, "[{task: ranking}, {task: demonstration}]"), (0, "[{task: ranking}, {task: likert}]")):
        with pytest.raises(UserError, match=f"question ranking: a ranking needs 2 to 9 responses; got {k}"):
            list(study(tmp_path, rows(1, k=k), questions=questions).every_item())


def test_known_answers_may_have_flags_and_texts_need_none(tmp_path):
    questions = "[{task: pair, flags: [rude]}, {task: demonstration}]"
    pair, text = rows(1, k=2, start=9)[0], {"prompt": "write it"}

    def read(row, role="screening"):
        write(tmp_path, "known.jsonl", [row])
        page = {"gold": "gold: {items: known.jsonl}", "screening": "screening: {items: known.jsonl}", "practice": "practice: known.jsonl"}
        return next(study(tmp_path, rows(1, k=2), page[role], questions=questions).every_item())

    answer = {"pair": {"winner": 0, "flags": [[1, "rude"]]}}
    assert read({**pair, "answer": answer}).answer == answer
    assert read(text).answer == {} and read(text).role == "screening" and read(text, "practice").role == "practice"
    for flags, said in (
        ([[1, "rued"]], r"answer\.pair: flags: the question has no flag 'rued'; did you mean 'rude'"),
        ([[2, "rude"]], r"answer\.pair: flags: expected \[\[place of a response"),
        (["rude"], r"answer\.pair: flags: expected \[\[place"),
        ({"rude": 1}, r"answer\.pair: flags: expected \[\[place"),
    ):
        with pytest.raises(UserError, match=said):
            read({**pair, "answer": {"pair": {"winner": 0, "flags": flags}}})
    for row, role in ((pair, "screening"), (text, "gold")):
        with pytest.raises(UserError, match=r"known\.jsonl:1: field 'answer': is missing"):
            read(row, role)


def test_prompts_may_be_conversations_and_ids_come_from_the_words(tmp_path):
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}, {"role": "user", "content": "bye"}]
    write(
        tmp_path, "items.jsonl", [{"messages": talk, "responses": ["a", "b"], "tags": {"topic": "x"}}, {"prompt": "q", "responses": ["a"]}]
    )
    first, second = read_items(tmp_path / "items.jsonl", "work")
    assert len(first.prompt.messages) == 3 and first.prompt.tags == {"topic": "x"} and len({first.id, second.id}) == 2
    (again,) = list(read_items(tmp_path / "items.jsonl", "work"))[:1]
    assert again == first and next(iter(read_items(tmp_path / "items.jsonl", "work"))).id == first.id


def test_every_setting_is_documented_under_its_field():
    for cls in (Study, pages.Question, pages.Responses, pages.Gold, pages.Screening, pages.Disagreement, pages.Member, pages.Webhook):
        assert [name for name in cls.__dataclass_fields__ if name not in documentation(cls)] == [], cls


def test_overrides_are_as_strict_as_the_page(tmp_path):
    write(tmp_path, "items.jsonl", rows(1))
    study(tmp_path, rows(1))
    assert read_study(tmp_path / "study.yaml", ["overlap=3"]).overlap == 3
    with pytest.raises(UserError, match="override 'overlap=none': overlap"):
        read_study(tmp_path / "study.yaml", ["overlap=none"])
    (tmp_path / "study.yaml").write_text(json.dumps([1]))
    with pytest.raises(UserError, match="expected settings"):
        read_study(tmp_path / "study.yaml")
