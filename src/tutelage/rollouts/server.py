"""Sampling from a server by URL: its settings, what it is asked, and how its answers are read; `rollouts.remote` does the asking.

A prompt goes out as token ids and a response comes back as the very ids that were sampled, with the log-probability of each: text that is
tokenized again is another response (TRL #3867 and its kind). vLLM has both through /v1/completions, llama.cpp through /completion. A
server that can't give them is refused. Sampling is said in full (temperature 1, nothing cut), because servers take what is left out from a
model's generation_config.json; vLLM ends a response at our end token alone (`ignore_eos`, `stop_token_ids`), as our own sampler does.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt

from tutelage.core.asking import Request
from tutelage.core.endpoint import Endpoint
from tutelage.core.errors import Interrupted, UserError
from tutelage.models.sampler import Sampled

MARK = "token_id:"
"""How vLLM writes ids in its log-probabilities."""
NEUTRAL = {"temperature": 1.0, "top_p": 1.0, "min_p": 0.0}


@dataclass(frozen=True)
class Server(Endpoint):
    """A server that writes the responses of reinforcement learning."""

    speaks: Literal["vllm", "llama.cpp"] = "vllm"
    """What it is spoken to as: /v1/completions with ids and log-probabilities, or /completion."""
    push: str | None = None
    """A folder that this process and a vLLM server see under the same path: each round's adapter is saved there and loaded by the server.
    null: its weights stay what they are."""
    stale: Annotated[int, Ge(0)] = 0
    """Rounds that the server's weights may be behind the policy's; with `push`, how many are sampled before it is given new ones."""
    cap: Annotated[float, Gt(0.0)] = 2.0
    """C of the correction: the most that a token is weighed by pi(token) / server(token); 1-10."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.push and self.speaks != "vllm":
            raise ValueError("push: only vLLM loads an adapter while it runs; leave push out, or set speaks: vllm")


def request(server: Server, model: str, prompt: Sequence[int], max_tokens: int, seed: int, end: int) -> Request:
    """One response to one prompt."""
    if server.speaks == "llama.cpp":
        neutral = {**NEUTRAL, "top_k": 0, "typical_p": 1.0, "repeat_penalty": 1.0, "samplers": ["temperature"]}
        neutral |= {"mirostat": 0, "dynatemp_range": 0.0, "ignore_eos": False}  # a server may be started with these, and samples by them
        asked = {"n_predict": max_tokens, "n_probs": 1, "return_tokens": True, "post_sampling_probs": False}
        return Request(f"{server.at.removesuffix('/v1')}/completion", {"prompt": list(prompt), "seed": seed, **asked, **neutral})
    neutral = {**NEUTRAL, "top_k": -1, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    ends = {"ignore_eos": True, "stop_token_ids": [end], "skip_special_tokens": False, "spaces_between_special_tokens": False}
    told = {"logprobs": 1, "return_tokens_as_token_ids": True, "return_token_ids": True}
    return Request(
        "/completions", {"model": model, "prompt": list(prompt), "max_tokens": max_tokens, "seed": seed, **neutral, **ends, **told}
    )


def read(server: Server, model: str, answer: Mapping[str, Any], prompt: Sequence[int], max_tokens: int, end: int) -> tuple[Sampled, str]:
    """The response, and the text that the server makes of it. UserError for what can't be learnt from; Interrupted for an answer that the
    server broke off."""
    try:
        ids, logp, text, why = _llama(answer) if server.speaks == "llama.cpp" else _vllm(answer)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise UserError(
            f"{server.host} answers without token ids and the log-probability of each, and text that is tokenized again is no rollout; "
            f"{_needed(server)} gives them"
        ) from None
    if server.speaks == "vllm" and answer.get("model", model) != model:
        raise UserError(f"{server.host} was asked for {model!r} and answered as {answer['model']!r}; whose words they are must be known")
    asked = (answer.get("choices") or [{}])[0].get("prompt_token_ids")
    if asked is not None and list(asked) != list(prompt):
        raise UserError(f"{server.host} read other ids than the prompt's {len(prompt)}; start it without a template or tokens that it adds")
    if why in ("abort", "error"):
        raise Interrupted(f"{server.host} broke a response off; run again")
    if end in ids:
        at = ids.index(end) + 1
        ids, logp = ids[:at], logp[:at]
    elif len(ids) != max_tokens:
        raise UserError(
            f"{server.host} ended a response after {len(ids)} of {max_tokens} tokens with id {ids[-1]}, and the end token is {end}; "
            "give it a context that is long enough, and a model with this tokenizer's end"
        )
    return Sampled(tuple(ids), tuple(logp), ids[-1] == end), text


def _needed(server: Server) -> str:
    return "a vLLM that knows return_tokens_as_token_ids" if server.speaks == "vllm" else "llama.cpp's own server"


def _vllm(answer: Mapping[str, Any]) -> tuple[list[int], list[float], str, str]:
    choice = answer["choices"][0]
    told = choice["logprobs"]
    marked = [int(token.removeprefix(MARK)) if token.startswith(MARK) else None for token in told["tokens"]]
    ids = choice.get("token_ids") or marked
    return _whole(ids), _numbers(told["token_logprobs"], len(ids)), str(choice["text"]), str(choice.get("finish_reason"))


def _llama(answer: Mapping[str, Any]) -> tuple[list[int], list[float], str, str]:
    """A letter of several tokens has one entry there, and then the log-probabilities of the others are nowhere: refused."""
    ids, rows = _whole(answer["tokens"]), answer["completion_probabilities"]
    if 0 < len(rows) < len(ids):
        raise UserError(
            f"llama.cpp gives no log-probability for {len(ids) - len(rows)} of a response's {len(ids)} tokens, as of letters that take "
            "several tokens; vLLM gives them all (sampler.speaks: vllm)"
        )
    if [row["id"] for row in rows] != ids:
        raise ValueError
    return ids, _numbers([row["logprob"] for row in rows], len(ids)), str(answer["content"]), ""


def _whole(ids: Sequence[Any]) -> list[int]:
    if not ids or not all(type(i) is int and i >= 0 for i in ids):
        raise ValueError
    return list(ids)


def _numbers(logp: Sequence[Any], n: int) -> list[float]:
    found = [float(x) for x in logp]
    if len(found) != n or not all(math.isfinite(x) and x <= 1e-3 for x in found):
        raise ValueError
    return found
