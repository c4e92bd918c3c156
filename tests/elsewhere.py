"""A device that isn't there: tensors that say they are on `cuda:0`, hold their numbers on the processor, and meet no tensor of it.

    with Elsewhere() as mode: network.to(GPU); ...

Every operation on such a tensor comes by `There.__torch_dispatch__`, which refuses what a GPU would refuse, and one thing more: an index
that lies on the processor, which a GPU takes after a silent copy. What gives a tensor of the processor inside the mode, from tensors or
from nothing, is counted in `mode.made_here`, so that a loop can be shown to make none.

What a test with it proves: each tensor is brought over before it meets the network, factories are told the device, numbers come back only
where that is asked for, and, because the numbers are real, the results are those of the processor. What it doesn't: kernels of a GPU,
their rounding and their speed, autocast (which torch turns off without a GPU), and what a library compiled for CUDA does.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda", 0)
CPU = torch.device("cpu")
BETWEEN = {torch.ops.aten.copy_.default, torch.ops.aten._foreach_copy_.default}
"""What moves numbers from one device to the other."""


class There(Tensor):
    """A tensor that says it is on the GPU, to Python; torch's own code is told that it is on the processor, so that scalars that it makes
    beside it have their values. What brings numbers back is therefore heard by `_Named`."""

    held: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "There":
        told = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype, "layout": inner.layout}
        made = Tensor._make_wrapper_subclass(cls, inner.shape, **told, device=inner.device, requires_grad=inner.requires_grad)
        made.held = inner.detach()
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @property
    def device(self) -> torch.device:  # pyright: ignore[reportIncompatibleVariableOverride]
        return GPU

    @property
    def is_cuda(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return True

    def __repr__(self) -> str:
        return f"There({self.held!r})"

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], *_: object) -> "There":
        return There(inner["held"])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        told = dict(kwargs or {})
        strangers = [x for x in tree_leaves((args, told)) if isinstance(x, Tensor) and not isinstance(x, There) and x.dim()]
        if strangers and func not in BETWEEN:
            shapes = ", ".join(f"{x.dtype} {tuple(x.shape)}" for x in strangers)
            raise RuntimeError(f"{func}: expected all tensors on {GPU}, found one on the processor ({shapes})")
        if told.get("device") is not None:
            told["device"] = CPU
        out = func(*tree_map(_inside, args), **tree_map(_inside, told))
        if func in BETWEEN and not isinstance(tree_leaves(args)[0], There):
            return out
        whole = tree_map(lambda x: There(x) if isinstance(x, Tensor) and not isinstance(x, There) else x, out)
        return return_and_correct_aliasing(func, args, kwargs or {}, whole)


def _inside(x: Any) -> Any:
    return x.held if isinstance(x, There) else x


class Elsewhere:
    """Within, torch has a GPU of that kind: factories and `.to` know it."""

    def __init__(self) -> None:
        self.made_here: list[str] = []
        self._modes: list[Any] = [_Named(self.made_here), _Counting(self.made_here)]

    def __enter__(self) -> "Elsewhere":
        torch.__future__.set_swap_module_params_on_conversion(True)  # a parameter stays itself when it is moved, as on a real device
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        torch.__future__.set_swap_module_params_on_conversion(False)
        for mode in reversed(self._modes):
            mode.__exit__(*error)


class _Named(TorchFunctionMode):
    """Hears calls that name a device, before torch looks for it. (What torch makes by itself inside of an operation, as `one_hot` does, it
    makes on the processor: of a network that does so nothing can be said here.)"""

    def __init__(self, made_here: list[str]) -> None:
        super().__init__()
        self.made_here = made_here

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        told = dict(kwargs or {})
        away = any(isinstance(x, There) for x in tree_leaves((args, told)))
        if func in (Tensor.to, Tensor.cpu, Tensor.cuda):
            return _to(func, *args, **told)
        if func == Tensor.data.__set__ and away:  # pyright: ignore[reportAttributeAccessIssue]
            args[0].held = args[1].held
        if func is Tensor.numpy and away:
            raise TypeError(f"can't convert a tensor on {GPU} to numpy: bring it to the processor first")
        if func is Tensor.tolist and away:
            return args[0].held.tolist()
        if told.get("device") is None or torch.device(told["device"]).type != "cuda":
            return func(*args, **told)
        before = len(self.made_here)
        made = func(*args, **{**told, "device": CPU})
        there = made if isinstance(made, There) else There(made)
        del self.made_here[before:]  # what was made only stands for a tensor of the GPU
        return there


def _to(func: Callable[..., Any], x: Tensor, *how: Any, **told: Any) -> Tensor:
    """x.to(...), x.cpu(), x.cuda()"""
    given = [*how, *told.values(), *([CPU] if func is Tensor.cpu else []), *([GPU] if func is Tensor.cuda else [])]
    like = [h for h in given if isinstance(h, Tensor)]
    dtypes = [h for h in (*given, *(x.dtype for x in like)) if isinstance(h, torch.dtype)]
    devices = [torch.device(h).type for h in (*given, *(x.device for x in like)) if isinstance(h, torch.device | str)]
    to = (devices or [x.device.type])[0]
    same = x if not dtypes or x.dtype == dtypes[0] else torch.ops.aten.to.dtype(x, dtypes[0])
    if to == x.device.type:
        return same
    return There(same.detach().clone()) if to == "cuda" else same.held.clone()  # pyright: ignore[reportAttributeAccessIssue]


class _Counting(TorchDispatchMode):
    """Writes down what gave a tensor of the processor."""

    def __init__(self, made_here: list[str]) -> None:
        super().__init__()
        self.made_here = made_here

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if any(isinstance(x, Tensor) and not isinstance(x, There) and x.dim() for x in tree_leaves(out)):
            self.made_here.append(str(func))
        return out
