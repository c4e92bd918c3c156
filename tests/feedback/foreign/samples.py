"""Rows as each tool documents its export, written by hand."""

from typing import Any

ANN, BEN = "8d4a3e2b-0001", "8d4a3e2b-0002"


def argilla() -> list[dict[str, Any]]:
    """2.x records: a ranking with a tie, a rating for each response, a choice, a remark, a draft, a discarded answer, a suggestion."""
    fields = {"prompt": "Name an animal.", "response-1": "A fox.", "response-2": "Why?", "response-3": "An owl."}
    tied = [{"value": "response-3", "rank": 1}, {"value": "response-1", "rank": 1}, {"value": "response-2", "rank": 2}]
    return [
        {
            "id": "rec-1",
            "fields": fields,
            "metadata": {"source": "zoo", "length": 3},
            "suggestions": {"preference": {"value": ["response-2", "response-1", "response-3"], "score": None, "agent": "gpt"}},
            "responses": {
                "preference": [
                    {"value": tied, "user_id": ANN, "status": "submitted"},
                    {"value": ["response-1", "response-3", "response-2"], "user_id": BEN, "status": "submitted"},
                    {"value": ["response-2", "response-1", "response-3"], "user_id": "late", "status": "draft"},
                ],
                "helpful-1": [{"value": 7, "user_id": ANN}],
                "helpful-2": [{"value": 1, "user_id": ANN}],
                "helpful-3": [{"value": 5, "user_id": ANN}],
                "comment": [{"value": "I like owls, answer 3", "user_id": ANN}, {"value": "-", "user_id": BEN, "status": "discarded"}],
            },
            "vectors": {},
            "_server_id": "9f",
        },
        {
            "id": "rec-2",
            "fields": {
                "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Sing"}],
                "response_a": "La",
                "response_b": "No.",
            },
            "metadata": {},
            "suggestions": {},
            "responses": {
                "preference": [{"value": "response_b", "user_id": BEN}, {"value": "tie", "user_id": ANN}],
            },
        },
        {"id": "rec-3", "fields": {"prompt": "Nobody answered"}, "metadata": {}, "suggestions": {}, "responses": {}},
    ]


def argilla_flat() -> list[dict[str, Any]]:
    """The same kind of record as `to_datasets` flattens it."""
    return [
        {
            "id": "1",
            "status": "completed",
            "_server_id": "a",
            "instruction": "Add 1 and 2.",
            "response_1": "3",
            "response_2": "12",
            "preference.responses": [["response_1", "response_2"], ["response_2", "response_1"]],
            "preference.responses.users": [ANN, BEN],
            "preference.responses.status": ["submitted", "submitted"],
            "preference.suggestion": None,
            "preference.suggestion.score": None,
            "preference.suggestion.agent": None,
        }
    ]


def argilla_old() -> list[dict[str, Any]]:
    """A record of 1.x."""
    return [
        {
            "prompt": "Add 1 and 2.",
            "response1": "3",
            "response2": "12",
            "preference": [
                {
                    "user_id": ANN,
                    "value": [{"rank": 1, "value": "response1"}, {"rank": 1, "value": "response2"}],
                    "status": "submitted",
                }
            ],
            "preference-suggestion": None,
            "preference-suggestion-metadata": {"type": None, "score": None, "agent": None},
            "external_id": "r",
            "metadata": "{}",
        }
    ]


def label_studio() -> list[dict[str, Any]]:
    """Tasks with pairwise, ranker (list and buckets), rating and textarea results."""
    result = {"id": "x1", "from_name": "better", "to_name": "answer1,answer2", "type": "pairwise", "value": {"selected": "right"}}
    corrected = {"from_name": "corrected-1", "to_name": "answer1", "type": "textarea", "value": {"text": ["A red fox."]}}
    items = [{"id": "mdn", "title": "MDN", "body": "Arrows"}, {"id": "wiki", "title": "W", "body": "Bolts"}, {"id": "blog", "body": "Tips"}]
    order = {"from_name": "rank", "to_name": "results", "type": "ranker", "value": {"ranker": ["mdn", "wiki", "blog"]}}
    buckets = {
        "from_name": "rank",
        "to_name": "results",
        "type": "ranker",
        "value": {"ranker": {"rank-2": ["mdn"], "rank-1": ["blog", "wiki"]}},
    }
    return [
        {
            "id": 11,
            "data": {"prompt": "Name an animal.", "answer1": "A fox.", "answer2": "An owl."},
            "annotations": [
                {
                    "id": 1,
                    "completed_by": 4,
                    "result": [result, corrected],
                    "was_cancelled": False,
                    "lead_time": 12.5,
                    "created_at": "2026-03-09T21:52:49Z",
                },
                {"id": 2, "completed_by": {"id": 5, "email": "ben@example.org"}, "result": [result], "was_cancelled": True},
                {
                    "id": 3,
                    "completed_by": {"id": 5, "email": "ben@example.org"},
                    "result": [result],
                    "was_cancelled": False,
                    "lead_time": 3.0,
                },
            ],
            "predictions": [{"result": [result], "model_version": "1"}],
            "project": 83,
        },
        {
            "id": 12,
            "data": {"question": "Arrow functions?", "items": items},
            "annotations": [{"completed_by": 4, "result": [order]}, {"completed_by": 5, "result": [buckets]}],
        },
        {
            "id": 13,
            "data": {"prompt": "Sing", "response": "La"},
            "annotations": [
                {"completed_by": 4, "result": [{"from_name": "quality", "to_name": "r", "type": "rating", "value": {"rating": 4}}]}
            ],
        },
    ]


def potato() -> list[dict[str, Any]]:
    """Items with their data beside: binary and scale mode, a ranking with a tie, best-worst, a Likert radio."""
    two = {"prompt": "Name an animal.", "responses": ["A fox.", "Why?"]}
    four = {"prompt": "Translate cat.", "responses": ["chat", "chien", "minou", "Katze"]}
    spent = {"time_string": "Time spent: 0d 0h 1m 12s "}
    return [
        {"id": "1", "user_id": "ann", "item": two, "label_annotations": {"preference": {"selection": "A"}}, "behavioral_data": spent},
        {"id": "1", "user_id": "ben", "item": two, "label_annotations": {"preference": {"selection": "tie"}}},
        {"id": "1", "user_id": "cid", "item": two, "label_annotations": {"preference_scale": {"scale_value": "-2"}}},
        {"id": "2", "user_id": "ann", "item": four, "label_annotations": {"rank": {"rank_order": "B,D=A,C"}}},
        {"id": "2", "user_id": "ben", "item": four, "label_annotations": {"bws": {"best": "A", "worst": "B"}}},
        {"id": "3", "user_id": "ann", "item": {"prompt": "Sing", "response": "La"}, "label_annotations": {"quality": {"5": "true"}}},
    ]


def arena() -> list[dict[str, Any]]:
    """Battles with each of the four votes; the last one of several turns that differ."""
    user = {"role": "user", "content": "Name an animal."}

    def battle(winner: str, a: list[str], b: list[str]) -> dict[str, Any]:
        said = [
            [
                m
                for n, text in enumerate(side)
                for m in ({**user, "content": f"{user['content']}{n or ''}"}, {"role": "assistant", "content": text})
            ]
            for side in (a, b)
        ]
        return {
            "question_id": f"q-{winner}",
            "model_a": "vicuna-13b",
            "model_b": "koala-13b",
            "winner": winner,
            "judge": "arena_user_973",
            "conversation_a": said[0],
            "conversation_b": said[1],
            "turn": len(a),
            "anony": True,
            "language": "English",
            "tstamp": 1682351591.1322,
        }

    votes = [battle(winner, ["A fox."], ["An owl."]) for winner in ("model_a", "model_b", "tie", "tie (bothbad)")]
    return [*votes, battle("model_a", ["A fox.", "Red."], ["A fox.", "Blue."]), battle("model_a", ["A fox.", "Red."], ["An owl.", "Grey."])]


def alpaca_eval() -> list[dict[str, Any]]:
    """Judged by a model with a probability, by a person, tied, and unreadable."""
    row = {"instruction": "Sing", "output_1": "La", "generator_1": "base", "output_2": "La la", "generator_2": "sft", "dataset": "koala"}
    return [
        {**row, "annotator": "weighted_alpaca_eval_gpt4_turbo", "preference": 1.2345678901234567, "time_per_example": 1.5},
        {**row, "annotator": "weighted_alpaca_eval_gpt4_turbo", "output_2": "Lo", "preference": 1.9999999},
        {**row, "annotator_index": 13, "preference": 2},
        {**row, "annotator_index": 4, "preference": 1.5},
        {**row, "annotator_index": 5, "preference": 0},
        {**row, "annotator_index": 6, "preference": None},
    ]


def oasst() -> list[dict[str, Any]]:
    """A tree: three ranked answers, below one of them a question with two; prompters' replies are ranked as well."""

    def said(text: str, role: str, *replies: dict[str, Any], rank: int | None = None) -> dict[str, Any]:
        return {"message_id": text, "text": text, "role": role, "rank": rank, "deleted": False, "replies": list(replies)}

    below = said("And a bird?", "prompter", said("An owl.", "assistant", rank=1), said("A wren.", "assistant", rank=0), rank=1)
    answers = [
        said("A fox.", "assistant", below, said("Why?", "prompter", rank=0), rank=2),
        said("A cat.", "assistant", rank=0),
        said("No.", "assistant", rank=1),
        said("deleted", "assistant"),
    ]
    return [{"message_tree_id": "t1", "tree_state": "ready_for_export", "prompt": said("Name an animal.", "prompter", *answers)}]


def hh() -> list[dict[str, Any]]:
    """HH-RLHF's text, and TRL's messages."""
    before = "\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: Sing\n\nAssistant: "
    return [
        {"chosen": f"{before}La", "rejected": f"{before}No."},
        {"prompt": [{"role": "user", "content": "Hi "}], "chosen": [{"role": "assistant", "content": " Hello!"}], "rejected": "No."},
    ]
