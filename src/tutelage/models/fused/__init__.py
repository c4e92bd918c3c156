"""What lies between a decoder's matrix products, and the gradients of its weights, by kernels of ours: see `modules.fuse`."""

from tutelage.models.fused.modules import fuse, release

__all__ = ["fuse", "release"]
