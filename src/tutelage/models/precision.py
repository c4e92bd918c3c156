"""What a network computes in, and what its weights are learnt in.

    float32    both in float32
    autocast   weights in float32, products in bfloat16: each product rounds its weights anew
    bf16       weights, activations and products in bfloat16; what is trained has a float32 master

bfloat16 keeps 8 bits: an update smaller than 2^-9 of a weight would be lost. So the optimizer steps masters, gradients are added up over
micro-batches in them, and after a step the network takes over their rounding. Vectors of words and positions stay in float32 in all three:
a frequent word's gradient is a sum of hundreds of terms, which bfloat16 would stop adding up. Beside a quantized base they learn nothing,
and are rounded too.
"""

from collections.abc import Iterable
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from tutelage.models.fused import fuse, release
from tutelage.models.quantized import quantized
from tutelage.models.sums import add

Precision = Literal["float32", "autocast", "bf16"]
Network = TypeVar("Network", bound=nn.Module)


def narrow(network: Network) -> Network:
    """Let a float32 network compute in bfloat16; its vectors of words stay as they are. Returns it. Nothing happens the second time."""
    for module in network.modules():
        if isinstance(module, nn.Embedding) and _rounded not in module._forward_hooks.values():
            module.register_forward_hook(_rounded)
    round_frozen(network)
    return fuse(network)


def round_frozen(network: nn.Module) -> None:
    """What doesn't learn needs no more than it computes in."""
    for p in network.parameters() if quantized(network) else inside(network):
        if p.dtype == torch.float32 and not p.requires_grad:
            p.data = p.data.bfloat16()


def _rounded(module: nn.Module, given: object, out: Tensor) -> Tensor:
    return out.bfloat16()


def inside(network: nn.Module) -> Iterable[nn.Parameter]:
    """All parameters of a network but vectors of words."""
    vectors = {id(p) for module in network.modules() if isinstance(module, nn.Embedding) for p in module.parameters(recurse=False)}
    return (p for p in network.parameters() if id(p) not in vectors)


def computes(network: nn.Module) -> torch.dtype:
    """What a network's activations are, autocast apart."""
    return next(p.dtype for p in inside(network) if p.is_floating_point())


class Masters:
    """What the optimizer steps in place of a network's own parameters: the float32 weights of what is trained in a narrowed network, each
    taking over a parameter's storage and gathering its gradients. With `offload` those of everything that is trained, in the processor's
    memory, where their gradients are added up and the optimizer's moments lie too."""

    def __init__(self, narrowed: Iterable[nn.Module], offload: Iterable[nn.Module] = ()) -> None:
        self._pairs: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}
        away = list(offload)
        for network in narrowed:
            for p in inside(network):
                if p.requires_grad and p.dtype == torch.float32 and id(p) not in self._pairs:
                    self._pairs[id(p)] = (p, _master(p, torch.bfloat16, bool(away)))
        for p in (p for network in away for p in network.parameters()):
            if p.requires_grad and id(p) not in self._pairs:
                self._pairs[id(p)] = (p, _master(p, p.dtype, True))

    def of(self, p: nn.Parameter) -> nn.Parameter:
        """What the optimizer steps in place of `p`: its master, or itself where it has none."""
        return self._pairs[id(p)][1] if id(p) in self._pairs else p

    @torch.no_grad()
    def refresh(self) -> None:
        """The network takes over its masters' rounding."""
        if self._pairs:
            rounded, masters = zip(*self._pairs.values(), strict=True)
            torch._foreach_copy_(list(rounded), list(masters))  # pyright: ignore[reportPrivateImportUsage]

    def widen(self, networks: Iterable[nn.Module]) -> None:
        """Training is over: the networks compute in float32 again, with their masters as weights."""
        for p, master in self._pairs.values():
            p.data = master.data.to(p.device)
            vars(p).pop("master", None)
        self._pairs.clear()
        for network in networks:
            release(network)
            for p in network.parameters():
                p.data = p.data.float() if p.dtype == torch.bfloat16 else p.data
            for module in network.modules():
                for key in [key for key, hook in module._forward_hooks.items() if hook is _rounded]:
                    del module._forward_hooks[key]


def _master(p: nn.Parameter, dtype: torch.dtype, away: bool) -> nn.Parameter:
    """`p` becomes its own rounding to `dtype`; each gradient that reaches it moves on into the master's."""
    master = nn.Parameter(p.data.to("cpu", copy=True) if away else p.data)
    p.data = p.data.to(dtype)

    def gather(narrow: Tensor) -> None:
        if narrow.grad is None:  # an operation added to the master's itself (models/fused)
            return
        arrived = narrow.grad.cpu() if away else narrow.grad
        if master.grad is None:
            master.grad = arrived.to(master.dtype)
        else:
            add(master.grad, arrived)
        narrow.grad = None

    p.register_post_accumulate_grad_hook(gather)
    if p.dtype != master.dtype:
        p.master = master  # pyright: ignore[reportAttributeAccessIssue]  (for operations that add to its gradient themselves)
    return master
