"""One process or many: who takes which examples, and the two sums that processes share.

Every process takes each n-th example of a step, adds up the counts before its first backward pass and the gradients after its
last one. No average is taken anywhere, so the gradient is that of one process whatever the number of processes.

The runner asks who it is before it knows whether anything has to be computed, so torch is imported only where processes talk.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tutelage.core.environment import number

if TYPE_CHECKING:
    from torch import nn

    from tutelage.engine.meeting import Meeting

T = TypeVar("T")
_met: "list[Meeting]" = []
"""How this process hears of the others, once it has met them."""


@dataclass(frozen=True)
class Ranks:
    """This process's place among `size`. With size 1 nothing is communicated."""

    rank: int = 0
    size: int = 1

    def share(self, items: Sequence[T]) -> list[T]:
        """This process's part of a step's examples."""
        return list(items[self.rank :: self.size])

    def gather(self, own: Sequence[T]) -> list[T]:
        """All processes' items, in rank order."""
        if self.size == 1:
            return list(own)
        import torch.distributed as dist

        parts: list[list[T]] = [[] for _ in range(self.size)]
        dist.all_gather_object(parts, list(own))
        return [item for part in parts for item in part]

    def wait(self) -> None:
        """Until every process has come here, for as long as that takes; Interrupted where one is gone."""
        if self.size > 1:
            _met[0].wait()

    def sum_counts(self, own: Mapping[str, float]) -> dict[str, float]:
        """Counts of all processes, by name."""
        total: dict[str, float] = {}
        for counts in self.gather([own]):
            for name, count in counts.items():
                total[name] = total.get(name, 0.0) + count
        return total

    def sum_gradients(self, parameters: "Iterable[nn.Parameter]") -> None:
        """Gradients of all processes, added in place. A parameter that has one elsewhere counts as zeros here; one that has none anywhere
        gets none, as it would where there is one process."""
        if self.size == 1:
            return
        import torch.distributed as dist

        own = list(parameters)
        learns = set(self.gather([n for n, p in enumerate(own) if p.grad is not None]))
        for n in sorted(learns):
            p = own[n]
            if p.grad is None:
                p.grad = p.detach().new_zeros(p.shape)
            dist.all_reduce(p.grad)


def company() -> AbstractContextManager[None]:
    """Within, the loss of another process is said in one sentence (Interrupted)."""
    if number("WORLD_SIZE", 1, least=1) == 1:
        return nullcontext()
    from tutelage.engine import meeting

    return meeting.company()


def ranks() -> Ranks:
    """This process under torchrun, or the only one."""
    if number("WORLD_SIZE", 1, least=1) == 1:
        return Ranks()
    import torch.distributed as dist

    from tutelage.models.device import chosen, own_gpu

    if not dist.is_initialized():
        from tutelage.engine.meeting import meet

        on_gpu = chosen() == "cuda"
        if on_gpu:
            own_gpu()
        _met.append(meet(on_gpu))
    return Ranks(dist.get_rank(), dist.get_world_size())
