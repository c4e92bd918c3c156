"""Weights shared out among processes: PyTorch's FSDP2 (`fully_shard`) around a policy's reading.

    a layer's weights are gathered before it computes, and freed after;  its gradients are added over processes, and each keeps its share

The unit that is gathered is a layer; what belongs to none (vectors of words, last norms) is gathered once a reading, so whatever reads
it, the words' matrix in the heads above all, must run inside of the outermost sharded module. That is why `Policy.read` runs whole as the
forward of one module that holds all networks. Its gradients are sums and not means (`set_gradient_divide_factor(1)`): the engine alone
divides. Scalar heads are small and stay whole.

A base of few bits (models/quantized.py) is shared out as its codes, and gathered as codes: a layer's weights are made of them on each
process while it computes.

The optimizer sees plain tensors: each process's share of each weight. AdamW steps them as they are, because it looks at no two numbers
together; Muon, which does, gathers (`Shard.whole`). With bfloat16 the shares are float32 and are rounded as they are gathered, so they are
the masters of models/precision.py; gradients are added up in float32, over processes and micro-batches.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tutelage.core.errors import UserError
from tutelage.models.precision import Precision, inside, narrow, round_frozen
from tutelage.models.quantized import quantized
from tutelage.models.recompute import layers

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """How a weight lies: its first dimension in equal parts over the processes of `mesh`, in order."""

    mesh: Any
    placements: tuple[Any, ...]
    shape: torch.Size
    stride: tuple[int, ...]

    def placed(self, own: Tensor) -> Tensor:
        """This process's share as torch.distributed's tensor."""
        from torch.distributed.tensor import DTensor

        return DTensor.from_local(own, self.mesh, self.placements, run_check=False, shape=self.shape, stride=self.stride)

    def whole(self, own: Tensor) -> Tensor:
        """All shares together; every process must ask."""
        at = torch.device(self.mesh.device_type)
        made: Any = self.placed(own.to(at) if own.device.type != at.type else own)
        return made.full_tensor()

    def own(self, whole: Tensor) -> Tensor:
        """This process's share of what all have."""
        size, rank = dist.get_world_size(), dist.get_rank()
        rows = -(-self.shape[0] // size)
        return whole[min(rank * rows, self.shape[0]) : min((rank + 1) * rows, self.shape[0])]


def shard_of(p: Tensor) -> Shard | None:
    """How the weight lies of which `p`, something an optimizer steps, is this process's share; None for a whole one."""
    return getattr(p, "shard", None)


def shape_of(p: Tensor) -> torch.Size:
    """Of the whole weight."""
    shard = shard_of(p)
    return p.shape if shard is None else shard.shape


class _Reading(nn.Module):
    """The outermost module: whatever runs inside finds the weights that belong to no layer whole."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, run: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        # A view would bring a warning about writing over it, which nobody does.
        return {name: x if x._base is None else x.clone() for name, x in run().items()}


class Shards:
    """The networks of a policy, shared out among all processes. Each network lies whole in the processor's memory before."""

    def __init__(self, networks: Iterable[nn.Module], device: torch.device, precision: Precision, offload: bool = False) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

        own = list(networks)
        with_codes = [layer for network in own for layer in quantized(network)]
        _check_torch(bool(with_codes))
        self.precision, self.offload = precision, offload
        for layer in with_codes:
            layer.key = layer.key.to(device)  # FSDP2 brings parameters there, and knows nothing of keys
        self._hollow = {id(network): _hollow(network, device) for network in own}
        self._stepped: dict[int, tuple[Any, nn.Parameter]] = {}
        rounding = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if precision == "bf16" else MixedPrecisionPolicy()
        told: dict[str, Any] = {"mesh": init_device_mesh(device.type, (dist.get_world_size(),)), "mp_policy": rounding}
        for network in own:
            if precision == "bf16":
                round_frozen(network)
            for layer in layers(network):
                fully_shard(layer, **told)
        self._reading: Any = fully_shard(_Reading(own), **told)
        for module in self._reading.modules():
            if isinstance(module, FSDPModule):
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)

    def read(self, run: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """What `run` reads of the networks. Every process must read, as often as the others."""
        read = self._reading(run)
        if not torch.is_grad_enabled():
            self._reading.reshard()
        return read

    @torch.no_grad()
    def of(self, p: nn.Parameter) -> nn.Parameter:
        """What the optimizer steps in place of `p`: this process's share; of a whole one (a head's), itself."""
        from torch.distributed.tensor import DTensor

        if not isinstance(p, DTensor):
            return p
        if id(p) not in self._stepped:
            own = _local(p)
            made = nn.Parameter(own.to("cpu", copy=True) if self.offload else own)
            made.shard = Shard(p.device_mesh, tuple(p.placements), p.shape, p.stride())  # pyright: ignore[reportAttributeAccessIssue]
            self._stepped[id(p)] = (p, made)
        return self._stepped[id(p)][1]

    @torch.no_grad()
    def collect(self) -> None:
        """After the last backward pass: hand the shares of gradients to what the optimizer steps."""
        for p, stepped in self._stepped.values():
            if not self.offload:
                stepped.data = _local(p)  # FSDP2 may have laid it elsewhere since, with other padding
            stepped.grad = None if p.grad is None else _local(p.grad).to(stepped.device)
            p.grad = None

    @torch.no_grad()
    def refresh(self) -> None:
        """After a step: the networks take over what was stepped elsewhere."""
        for p, stepped in self._stepped.values():
            if self.offload:
                _local(p).copy_(stepped)

    @contextmanager
    def whole(self, network: nn.Module) -> Iterator[nn.Module]:
        """Within, a copy of a network that is whole on this process, in the policy's precision, to write with; freed afterwards."""
        vectors = {id(p) for p in network.parameters()} - {id(p) for p in inside(network)}
        narrow_ = self.precision == "bf16"
        self._fill(network, lambda p, x: x.bfloat16() if narrow_ and x.dtype == torch.float32 and id(p) not in vectors else x)
        hollow = self._hollow[id(network)]
        try:
            yield narrow(hollow) if narrow_ else hollow
        finally:
            for module in hollow.modules():
                for name, p in module.named_parameters(recurse=False):
                    module.register_parameter(name, _empty(p))

    def kept(self, network: nn.Module) -> nn.Module:
        """A network as it was learnt, whole, in float32, in the first process's memory; elsewhere without weights."""
        first = dist.get_rank() == 0
        self._fill(network, lambda p, x: x.to("cpu", torch.float32 if x.dtype == torch.bfloat16 else x.dtype) if first else x.to("meta"))
        made = self._hollow[id(network)]
        return made.to("cpu") if first else made

    @torch.no_grad()
    def _fill(self, network: nn.Module, made: Callable[[nn.Parameter, Tensor], Tensor]) -> None:
        """Gather weight by weight into the network's empty copy."""
        from torch.distributed.tensor import DTensor

        hollow, filled = self._hollow[id(network)], dict[int, nn.Parameter]()
        for name, p in network.named_parameters(remove_duplicate=False):
            if id(p) not in filled:
                whole = p.full_tensor() if isinstance(p, DTensor) else p.detach()
                filled[id(p)] = nn.Parameter(made(p, whole), requires_grad=False)
            path, _, leaf = name.rpartition(".")
            hollow.get_submodule(path).register_parameter(leaf, filled[id(p)])


def _check_torch(codes: bool) -> None:
    """Raises UserError where this torch's FSDP2 is too old: before 2.8 it only averages, before 2.12 it shares out no whole numbers."""
    from torch.distributed.fsdp import FSDPModule

    if not hasattr(FSDPModule, "set_force_sum_reduction_for_comms"):
        raise UserError(f"machine.shard: torch {torch.__version__} can't add up gradients of shards; take a newer one, or shard: never")
    if codes and torch.__version__ < "2.12":
        raise UserError(f"machine.shard: torch {torch.__version__} can't share out a base of few bits; take 2.12 or newer, or shard: never")


def _local(x: Any) -> Tensor:
    """This process's share, not a copy."""
    return x.to_local()


def _empty(p: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=False)


def _hollow(network: nn.Module, device: torch.device) -> nn.Module:
    """A copy without weights. (Buffers are small and come along, to where the weights will be.)"""
    keys = {id(layer.key): layer.key for layer in quantized(network)}  # small, and never changed: both have the same
    made = copy.deepcopy(network, {**keys, **{id(p): _empty(p) for p in network.parameters()}})
    for module in made.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(device))
    return made
