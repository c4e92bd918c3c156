"""Weights for a vLLM server, round by round, as adapters: saved where the server can read them, loaded by name, the one before taken away.

    POST /v1/load_lora_adapter {lora_name, lora_path}          POST /v1/unload_lora_adapter {lora_name}

The name holds the round and a hash of the weights, and requests ask for it by name, so an answer says itself which weights wrote it; what
is loaded under a name never changes. These two requests are documented and stable; whole weights go through vLLM's development
endpoints alone, which change from release to release, and are not sent.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from tutelage.core.asking import Asking
from tutelage.core.errors import Interrupted, UserError
from tutelage.core.files import sync_tree, writing
from tutelage.rollouts.server import Server

WEIGHTS = "adapter_model.safetensors"
REFUSED = "add_lora method failed"
"""vLLM says 500 of an adapter that it can't take (its rank, its modules), as of a failure of its own; asked again it says so again."""


class Adapters:
    """Gives `server` adapters named NAME-ROUND-HASH. `save` writes the policy's, as it is now, into a folder; `rank`: its rank."""

    def __init__(self, server: Server, name: str, rank: int, save: Callable[[Path], None]) -> None:
        assert server.push
        self.server, self.name, self.rank, self.save = server, name, rank, save
        self.folder = Path(server.push)
        self._asking = Asking(server)

    def push(self, number: int) -> str:
        """Load the weights of round `number`, then take away this run's earlier ones, a killed process's too; their name.

        Raises UserError where the server takes no adapters, Interrupted where it or the disk fails.
        """
        saved = self._saved(number)
        there = self._there()
        if saved.name not in there:
            try:
                self._asking.one("/load_lora_adapter", {"lora_name": saved.name, "lora_path": str(saved)})
            except (UserError, Interrupted) as failure:
                how = f"vLLM takes adapters if it was started with --enable-lora --max-lora-rank {self.rank} (or more) and with "
                where = f"VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment, and sees {self.folder} under this path"
                kind = UserError if REFUSED in str(failure) else type(failure)
                raise kind(f"{failure}; {how}{where}") from failure
        for old in there:
            if old.startswith(f"{self.name}-") and old != saved.name:
                self._asking.one("/unload_lora_adapter", {"lora_name": old})
        self._tidy(saved.name)
        return saved.name

    def close(self) -> None:
        """Take away all of this run's."""
        for old in self._there():
            if old.startswith(f"{self.name}-"):
                self._asking.one("/unload_lora_adapter", {"lora_name": old})
        self._tidy("")

    def _there(self) -> list[str]:
        return [str(model.get("id")) for model in self._asking.one("/models").get("data", [])]

    def _saved(self, number: int) -> Path:
        """The folder of the weights as they are: whole under its name, or not there."""
        partial = self.folder / f".{self.name}.partial"
        with writing(self.folder):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        self.save(partial)
        hash_ = hashlib.sha256((partial / WEIGHTS).read_bytes()).hexdigest()[:12]
        whole = self.folder / f"{self.name}-{number:06}-{hash_}"
        with writing(self.folder):
            sync_tree(partial)
            if whole.exists():
                shutil.rmtree(partial)
            else:
                partial.rename(whole)
        return whole.resolve()

    def _tidy(self, keep: str) -> None:
        for old in self.folder.glob(f"{self.name}-*"):
            if old.name != keep:
                shutil.rmtree(old)
