"""Every common form of file is read, and every broken one is named by file, row and field."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tutelage.core.errors import UserError
from tutelage.core.readers import demonstrations, documents, hash_file, labels, preferences, prompts, read_rows
from tutelage.core.text import Demonstration, Message, Prompt, ask

USER, ASSISTANT = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}
SYSTEM = {"role": "system", "content": "Be brief"}
HH = "\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: Sing\n\nAssistant:"


def file(folder: Path, *rows: object, name: str = "rows.jsonl") -> Path:
    path = folder / name
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def told(read: Callable[[], object]) -> str:
    with pytest.raises(UserError) as error:
        made = read()
        if isinstance(made, Iterator):
            list(made)
    return str(error.value)


def talk(*said: str) -> tuple[Message, ...]:
    return tuple(Message(("user", "assistant")[at % 2], (text,)) for at, text in enumerate(said))


def one(made: Iterator[Any]) -> Any:
    (only,) = made
    return only


# --- rows


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_lines_are_numbered_as_an_editor_numbers_them(tmp_path: Path, name: str) -> None:
    path = file(tmp_path, {"a": 1}, "", {"a": "\u2028"}, name=name)
    assert list(read_rows(path)) == [(1, {"a": 1}), (3, {"a": "\u2028"})]


def test_parquet_and_a_byte_order_mark(tmp_path: Path) -> None:
    pq.write_table(pa.table({"prompt": ["a", "b"], "messages": [[USER], [USER, ASSISTANT]]}), tmp_path / "x.parquet")
    assert list(read_rows(tmp_path / "x.parquet")) == [
        (1, {"prompt": "a", "messages": [USER]}),
        (2, {"prompt": "b", "messages": [USER, ASSISTANT]}),
    ]
    (tmp_path / "bom.jsonl").write_bytes(b'\xef\xbb\xbf{"a":1}')
    assert list(read_rows(tmp_path / "bom.jsonl")) == [(1, {"a": 1})]


@pytest.mark.parametrize(
    "line, message",
    [
        ('{"a": 1', "rows.jsonl:2: broken JSON (Expecting ',' delimiter at column 8); expected one object per line"),
        ("[1]", 'rows.jsonl:2: expected an object like {"prompt": ...}, got a list'),
        ("[" * 100_000, "rows.jsonl:2: broken JSON (nested too deeply); expected one object per line"),
    ],
)
def test_broken_lines(tmp_path: Path, line: str, message: str) -> None:
    path = file(tmp_path, {"a": 1}, line)
    assert told(lambda: read_rows(path)) == f"{tmp_path}/{message}"


@pytest.mark.parametrize(
    "text, rows",
    [
        ('[{"a": 1}, {"a": [2]}]', [{"a": 1}, {"a": [2]}]),
        ('\ufeff [\n {"a": "]"} ,\n {"a": 2},\n]\n', [{"a": "]"}, {"a": 2}]),
        ('{"a": 1}', [{"a": 1}]),
        ('{\n "a": 1\n}\n', [{"a": 1}]),
        ('{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
    ],
)
def test_one_list_one_object_and_lines_under_another_name(tmp_path: Path, text: str, rows: list[Any]) -> None:
    (tmp_path / "x.json").write_text(text)
    (tmp_path / "x.json.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("x.json", "x.json.gz"):
        assert list(read_rows(tmp_path / name)) == list(enumerate(rows, 1))


@pytest.mark.parametrize(
    "text, message",
    [
        (
            '[{"a": 1}, {"a": 2',
            "x.json:2: broken JSON (Expecting ',' delimiter at line 1 column 19); the file ends in the middle of this row",
        ),
        (
            '[{"a": 1},\n {"a": "b',
            "x.json:2: broken JSON (Unterminated string starting at at line 2 column 8); the file ends in the middle",
        ),
        ('[{"a": 1}, {"a": 2}', "x.json:2: broken JSON after this row (the file ends here, so it was cut)"),
        ('[{"a": 1}', "x.json:1: broken JSON after this row (the file ends here, so it was cut)"),
        ('[{"a": 1} {"a": 2}]', "x.json:1: broken JSON after this row ('{\"a\": 2}]'); expected ',' and the next row, or ']'"),
        ('[{"a": 1}, {b: 2}, {"a": 3}]', "x.json:2: broken JSON (Expecting property name"),
        ('[{"a": 1}, 2]', 'x.json:2: expected an object like {"prompt": ...}, got a number'),
        ('[{"a": 1}] [', "x.json: broken JSON: the list of 1 rows is followed by '['"),
        ("[]", "x.json: no rows"),
        ("", "x.json: no rows"),
        ("[" * 100_000, "x.json:1: broken JSON (nested too deeply)"),
    ],
)
def test_broken_lists(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.json").write_text(text)
    assert message in told(lambda: read_rows(tmp_path / "x.json"))


def test_files_that_are_no_files_of_rows(tmp_path: Path) -> None:
    good = file(tmp_path, *({"a": str(n) * n} for n in range(400)), name="good.jsonl.gz").read_bytes()
    (tmp_path / "cut.jsonl.gz").write_bytes(good[: len(good) // 2])
    (tmp_path / "flipped.jsonl.gz").write_bytes(good[:-6] + bytes([good[-6] ^ 255]) + good[-5:])
    (tmp_path / "fake.jsonl.gz").write_bytes(b'{"a": 1}\n')
    (tmp_path / "fake.parquet").write_bytes(b'{"a": 1}\n')
    (tmp_path / "latin.jsonl").write_bytes(b'{"a": 1}\n{"a": "caf\xe9"}\n')
    (tmp_path / "empty.jsonl").write_bytes(b"\n\n")
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "empty.parquet")
    for name, message in [
        ("none.jsonl", "none.jsonl: no such file"),
        ("x.csv", "x.csv: unknown kind of file; rows are read from .jsonl, .jsonl.gz, .json, .json.gz, .parquet"),
        ("empty.jsonl", "empty.jsonl: no rows; expected one JSON object per line"),
        ("empty.parquet", "empty.parquet: no rows"),
        ("latin.jsonl", "latin.jsonl:2: not UTF-8 text (byte 10 of the line)"),
        ("fake.jsonl.gz", "fake.jsonl.gz:1: not a sound gzip archive"),
        ("fake.parquet", "fake.parquet:1: not a sound Parquet file"),
        ("flipped.jsonl.gz", "not a sound gzip archive"),
        ("cut.jsonl.gz", "the archive ends early; copy or download the file again"),
    ]:
        assert message in told(lambda name=name: read_rows(tmp_path / name))
    row = int(told(lambda: read_rows(tmp_path / "cut.jsonl.gz")).split(":")[1])
    assert 50 < row < 400
    (tmp_path / "folder.jsonl").mkdir()
    assert "a directory, not a file" in told(lambda: read_rows(tmp_path / "folder.jsonl"))


def test_hash_file_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_file(tmp_path / "a").startswith("ba7816bf8f01cfea") and len(hash_file(tmp_path / "a")) == 64
    assert "no such file" in told(lambda: hash_file(tmp_path / "b")).lower()


# --- forms


@pytest.mark.parametrize(
    "row, said, response",
    [
        ({"prompt": "The sky is", "completion": " blue."}, talk("The sky is"), " blue."),
        ({"prompt": [USER], "completion": [ASSISTANT]}, talk("Hi"), "Hello!"),
        ({"messages": [USER, ASSISTANT, USER, ASSISTANT]}, talk("Hi", "Hello!", "Hi"), "Hello!"),
        ({"messages": [SYSTEM, USER, ASSISTANT]}, (Message("system", ("Be brief",)), *talk("Hi")), "Hello!"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, ASSISTANT]},
         (Message("user", ("a", "b")),), "Hello!"),
        ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]}, talk("Hi"), "Hello!"),
        ({"instruction": "Add", "input": "1 2", "output": "3"}, talk("Add\n\n1 2"), "3"),
        ({"instruction": "Sing", "input": "", "output": "La"}, talk("Sing"), "La"),
        ({"instruction": "Who?", "context": "Ann.", "response": "Ann"}, talk("Who?\n\nAnn."), "Ann"),
        ({"instruction": "Who?", "context": None, "response": "Ann"}, talk("Who?"), "Ann"),
        ({"prompt": HH, "completion": " La"}, talk("Hi", "Hello!", "Sing"), " La"),
    ],
)  # fmt: skip
def test_demonstrations(tmp_path: Path, row: dict[str, Any], said: tuple[Message, ...], response: str) -> None:
    path = file(tmp_path, {**row, "category": "ignored"})
    made: Demonstration = one(demonstrations(path))
    assert made.prompt.messages == said and made.response.text == response
    assert made.response.finished and made.response.by == "rows.jsonl"
    assert one(prompts(path)) == made.prompt


def test_tool_calls_are_kept_in_a_prompt(tmp_path: Path) -> None:
    call = {"name": "find", "arguments": {"b": 1, "a": 2}}
    rows = [
        {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "content": "3"}, ASSISTANT]},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "function_call", "value": "{}"},
                           {"from": "observation", "value": "3"}, {"from": "gpt", "value": "Hello!"}]},
    ]  # fmt: skip
    first, second = demonstrations(file(tmp_path, *rows))
    assert first.prompt.messages[1] == Message("assistant", (), ('{"arguments":{"a":2,"b":1},"name":"find"}',))
    assert second.prompt.messages[1] == Message("assistant", (), ("{}",))
    assert [m.role for m in second.prompt.messages] == ["user", "assistant", "tool"]


LLAMA_FACTORY = {
    "conversations": [{"from": "human", "value": "Hi"}],
    "chosen": {"from": "gpt", "value": "good"},
    "rejected": {"from": "gpt", "value": "bad"},
}


@pytest.mark.parametrize(
    "row, said, texts",
    [
        ({"prompt": "Hi", "chosen": "good", "rejected": "bad"}, talk("Hi"), ("good", "bad")),
        ({"prompt": [USER], "chosen": [ASSISTANT], "rejected": [{"role": "assistant", "content": "No"}]}, talk("Hi"), ("Hello!", "No")),
        ({"prompt": "Hi", "chosen": [USER, ASSISTANT], "rejected": [USER, ASSISTANT]}, talk("Hi"), ("Hello!", "Hello!")),
        ({"chosen": [USER, ASSISTANT], "rejected": [USER, {"role": "assistant", "content": ""}]}, talk("Hi"), ("Hello!", "")),
        ({"chosen": "The sky is blue.", "rejected": "The sky is green."}, talk("The sky is"), (" blue.", " green.")),
        ({"chosen": "The sky is", "rejected": "The sky is blue"}, talk("The sky"), (" is", " is blue")),
        ({"chosen": HH + " La", "rejected": HH + " No."}, talk("Hi", "Hello!", "Sing"), ("La", "No.")),
        ({"chosen": HH + " La\n\nAssistant: Lo", "rejected": HH + " La"}, talk("Hi", "Hello!", "Sing"), ("La\n\nLo", "La")),
        ({"chosen": HH + " La", "rejected": HH}, talk("Hi", "Hello!", "Sing"), ("La", "")),
        ({"prompt": HH, "chosen": " La", "rejected": HH + " No"}, talk("Hi", "Hello!", "Sing"), (" La", "No")),
        ({"instruction": "Add", "input": "1 2", "chosen": "3", "rejected": "4"}, talk("Add\n\n1 2"), ("3", "4")),
        (LLAMA_FACTORY, talk("Hi"), ("good", "bad")),
    ],
)
def test_preferences(tmp_path: Path, row: dict[str, Any], said: tuple[Message, ...], texts: tuple[str, str]) -> None:
    path = file(tmp_path, row)
    asked, responses, answer = one(preferences(path))
    assert asked.messages == said and tuple(r.text for r in responses) == texts and answer == {"winner": 0}
    assert one(prompts(path)) == asked


def test_prompts_labels_documents(tmp_path: Path) -> None:
    path = file(tmp_path, {"prompt": "Hi", "tags": {"family": "greeting"}}, {"prompt": [USER]}, {"messages": [USER]}, {"prompt": HH})
    made: list[Prompt] = list(prompts(path))
    assert made[:3] == [ask("Hi")] * 3 and made[0].tags == {"family": "greeting"} and made[3].messages == talk("Hi", "Hello!", "Sing")
    asked, response, wanted = one(labels(file(tmp_path, {"messages": [USER, ASSISTANT], "label": False})))
    assert (asked, response.text, wanted) == (ask("Hi"), "Hello!", False)
    assert [made.text for made in documents(file(tmp_path, {"text": " a "}, {"text": " \n"}, {"text": "b"}))] == [" a ", "b"]


def test_empty_responses_are_refused_or_skipped_but_never_taught(tmp_path: Path) -> None:
    path = file(tmp_path, {"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": " \n"})
    assert told(lambda: demonstrations(path)).endswith(
        ":2: field 'completion': the response is empty; a demonstration needs one: fill it in or remove the row"
    )
    assert len(list(demonstrations(path, skip_empty=True))) == 1


NO_PROMPT = (
    "no prompt; expected prompt, messages, conversations, instruction, or chosen and rejected; "
    "this row has promt; did you mean 'prompt'? (for 'promt')"
)
NO_ROLE = "field 'messages[0].role': \"usr\" is no role; roles are system, user, assistant, tool; did you mean 'user'?"
NO_ANSWER = "expected messages, conversations, prompt and completion, or instruction and output (or response); this row has"
NO_REJECTED = (
    "the field 'rejected' is missing; a preference has chosen and rejected; "
    "this row has prompt, chosen, rejectd; did you mean 'rejected'? (for 'rejectd')"
)
PICTURE = {"role": "user", "content": [{"type": "image", "url": "x"}]}


@pytest.mark.parametrize(
    "read, row, message",
    [
        (documents, {"txt": "a"}, "the field 'text' is missing; did you mean 'txt'?"),
        (documents, {"text": 5}, "field 'text': expected text, got a number"),
        (documents, {"text": "\ud83d"}, "field 'text': holds half a surrogate pair"),
        (prompts, {"promt": "a"}, NO_PROMPT),
        (prompts, {"prompt": ""}, "field 'prompt': the prompt is empty"),
        (prompts, {"prompt": 3}, "field 'prompt': expected a list of messages, got a number"),
        (prompts, {"prompt": []}, "field 'prompt': expected a list of messages, got an empty list"),
        (prompts, {"prompt": [USER, ASSISTANT]}, "field 'prompt': the prompt ends with a turn of the assistant"),
        (prompts, {"messages": [SYSTEM]}, "field 'messages': the prompt ends with a turn of the system"),
        (prompts, {"messages": [ASSISTANT]}, "field 'messages': the prompt is empty"),
        (prompts, {"messages": ["hi"]}, "field 'messages[0]': expected a message like"),
        (prompts, {"messages": [{"role": "usr", "content": "a"}]}, NO_ROLE),
        (prompts, {"messages": [{"role": "user"}]}, "field 'messages[0].content': expected text, got null"),
        (prompts, {"messages": [PICTURE]}, "field 'messages[0].content[0]': a part of type \"image\" is not read"),
        (prompts, {"messages": [{**USER, "images": ["x"]}]}, "field 'messages[0].images': is not read yet"),
        (prompts, {"messages": [USER], "tools": "[{}]"}, "field 'tools': definitions of functions are not read yet"),
        (prompts, {"conversations": [{"from": "human", "value": "x"}, {"from": "function_call", "value": "rain()"}]},
         "field 'conversations[1].value': a call of a function is written as JSON, not as \"rain()\""),
        (prompts, {"conversations": [{"from": "bot", "value": "x"}]}, "field 'conversations[0].from': \"bot\" is no speaker"),
        (demonstrations, {"instruction": "a", "outptu": "b"}, NO_ANSWER),
        (demonstrations, {"messages": [USER]}, "field 'messages': the last turn is the user's; the last turn"),
        (demonstrations, {"prompt": "a", "completion": 5}, "field 'completion': expected a list of messages, got a number"),
        (demonstrations, {"prompt": "a", "completion": [USER]}, "field 'completion': ends with a turn of the user"),
        (demonstrations, {"prompt": "a", "chosen": "b", "rejected": "c"}, "field 'chosen': a row of preferences, not a demonstration"),
        (demonstrations, {"prompt": "a", "completion": "b", "label": True}, "field 'label': a labelled response, not a demonstration"),
        (demonstrations, {"messages": [USER, {**ASSISTANT, "tool_calls": [{}]}]}, "field 'messages': the response calls a tool"),
        (preferences, {"prompt": "a", "chosen": "b", "rejectd": "c"}, NO_REJECTED),
        (preferences, {"prompt": "a", "chosen": "b", "rejected": None}, "the field 'rejected' is missing"),
        (preferences, {"prompt": "a", "chosen": "b", "rejected": 5}, "field 'rejected': expected a list of messages, got a number"),
        (preferences, {"prompt": "Bye", "chosen": [USER, ASSISTANT], "rejected": "No"}, "field 'chosen': does not begin with the prompt"),
        (preferences, {"chosen": [USER, ASSISTANT], "rejected": [SYSTEM, USER, ASSISTANT]}, "field 'rejected': differs from chosen before"),
        (preferences, {"chosen": [USER, ASSISTANT], "rejected": "No"}, "field 'rejected': expected a list of messages, got text"),
        (preferences, {"chosen": "Yes", "rejected": "No"}, "field 'chosen': shares no beginning with rejected to be the prompt"),
        (labels, {"prompt": "a", "completion": "b", "label": 1}, "field 'label': expected true or false, got a number"),
        (labels, {"prompt": "a", "completion": "b"}, "field 'label': expected true or false, got null"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit(tmp_path: Path, read: Callable[[Path], Iterator[object]], row: dict[str, Any], message: str) -> None:
    good = {"text": "a", "prompt": "a", "completion": "b"}
    if read in (preferences, labels):
        good = {"prompt": "a", "chosen": "b", "rejected": "c"} if read is preferences else {**good, "label": True}
    assert told(lambda: read(file(tmp_path, good, row))).startswith(f"{tmp_path}/rows.jsonl:2: {message}")
