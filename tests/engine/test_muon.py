"""Muon against torch's own."""

import pytest
import torch
from torch import nn

from tutelage.engine.muon import Muon, orthogonal

SHAPES = [(48, 48), (48, 48), (96, 48), (48, 96), (48, 96)]


def matrices() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="the oracle is torch.optim.Muon, of torch 2.9")
def test_steps_are_those_of_torch() -> None:
    ours, theirs, start = matrices(), matrices(), matrices()
    optimizers = [
        Muon([{"params": ours, "lr": 0.01, "weight_decay": 0.05}]),
        torch.optim.Muon([{"params": theirs, "lr": 0.01, "weight_decay": 0.05}], adjust_lr_fn="match_rms_adamw"),
    ]
    for step in range(4):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=torch.Generator().manual_seed(step))
            b.grad = a.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for a, b, c in zip(ours, theirs, start, strict=True):
        # Products of a batch may round otherwise than single ones, in bfloat16.
        assert float((a - b).norm()) <= 1e-2 * float((b - c).norm())


def test_singular_values_come_near_one() -> None:
    x_NRC = torch.randn(3, 64, 32, generator=torch.Generator().manual_seed(1)) * torch.tensor([1e-3, 1.0, 1e3])[:, None, None]
    values = torch.linalg.svdvals(orthogonal(x_NRC).float())
    assert float(values.max()) < 1.3
    assert float(values.median()) > 0.6


def test_state_returns_and_parameters_without_gradient_stay() -> None:
    ours, again = matrices(), matrices()
    first = Muon([{"params": ours, "lr": 0.01}])
    for p in ours[:-1]:
        p.grad = torch.ones_like(p)
    first.step()
    assert torch.equal(ours[-1], matrices()[-1])
    second = Muon([{"params": again, "lr": 0.01}])
    second.load_state_dict(first.state_dict())
    for p, q in zip(again, ours, strict=True):
        p.data.copy_(q.data)
        p.grad = q.grad
    first.step()
    second.step()
    assert all(torch.equal(p, q) for p, q in zip(ours, again, strict=True))
