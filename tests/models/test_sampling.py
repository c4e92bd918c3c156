import numpy as np
import pytest
import torch

from tutelage.core.randomness import uniforms
from tutelage.models.sampling import Sampling, draw, truncated

P = torch.tensor([[0.1, 0.4, 0.05, 0.25, 0.2]], dtype=torch.float64)


def drawn(p, u, **settings):
    token, logp = draw(p.log(), torch.tensor(u, dtype=torch.float64), Sampling(**settings))
    return token.tolist(), logp


def test_the_inverse_of_the_distribution():
    u = [0.0, 0.0999, 0.1001, 0.4999, 0.5001, 0.5499, 0.5501, 0.7999, 0.8001, 1 - 2**-53]
    tokens, logp = drawn(P.expand(len(u), -1), u)
    assert tokens == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert torch.allclose(logp, P[0, tokens].log(), atol=1e-14)


def test_frequencies():
    n = 20_000
    tokens, _ = drawn(P.expand(n, -1), uniforms(n, "frequencies").tolist())
    found = np.bincount(tokens, minlength=5) / n
    assert np.abs(found - P[0].numpy()).max() < 4 * (0.25 / n) ** 0.5


def test_temperature_shapes_draws_and_log_probabilities():
    tokens, logp = drawn(P, [0.5], temperature=0.5)
    sharp = P**2 / (P**2).sum()
    assert tokens == [1] and torch.allclose(logp, sharp[0, 1].log())
    tokens, logp = drawn(P, [0.99], temperature=0.0)
    assert tokens == [1] and torch.allclose(logp, P[0, 1].log())


def test_words_of_no_probability_are_never_drawn():
    p = torch.tensor([[0.0, 0.5, 0.5, 0.0]], dtype=torch.float64)
    assert drawn(p.expand(3, -1), [0.0, 0.5, 1 - 2**-53])[0] == [1, 2, 2]
    assert drawn(P.expand(2, -1), [0.0, 1 - 2**-53], top_k=2)[0] == [1, 3]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"top_k": 2}, [1, 3]),
        ({"top_k": 9}, [0, 1, 2, 3, 4]),
        ({"top_p": 0.4}, [1]),
        ({"top_p": 0.41}, [1, 3]),
        ({"top_p": 0.01}, [1]),
        ({"min_p": 0.5}, [1, 3, 4]),
        ({"top_k": 3, "top_p": 0.7}, [1, 3]),
        ({"top_k": 4, "min_p": 0.26}, [1, 3, 4]),
    ],
)
def test_truncation_keeps_what_transformers_keeps(settings, kept):
    from transformers import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    assert truncated(P, Sampling(**settings))[0].nonzero()[:, 0].tolist() == kept
    scores = P.log()
    for name, warper in (("top_k", TopKLogitsWarper), ("top_p", TopPLogitsWarper), ("min_p", MinPLogitsWarper)):
        scores = warper(settings[name])(None, scores) if name in settings else scores
    if settings.get("top_p") != 0.4:  # a cumulative sum exactly on the border: rounding decides
        assert (scores[0] > -torch.inf).nonzero()[:, 0].tolist() == kept


@pytest.mark.parametrize("total", [0.5, 0.7, 1.0, 1.0000001, 1.3])
def test_the_greatest_number_stays_below_the_total(total):
    """What makes a trailing word of no probability safe without a further check."""
    assert (1 - 2**-53) * total < total


def test_truncation_leaves_the_log_probability_alone():
    _, logp = drawn(P, [0.0], top_k=1)
    assert torch.allclose(logp, P[0, 1].log())


def test_float32_logits_give_float32():
    _, logp = draw(P.log().float(), torch.tensor([0.3], dtype=torch.float64), Sampling())
    assert logp.dtype == torch.float32
