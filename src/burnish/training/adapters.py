"""LoRA (arXiv:2106.09685): small matrices beside the frozen weights are trained, and merged into them at the end."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer

from burnish import atomic
from burnish.errors import InputError

_WEIGHTS = "with_adapters.safetensors"


class Adapters:
    """The adapters of a model's linear layers, of one rank; their product counts twice (alpha is 2 x rank).

    Raises:
        InputError: peft is not installed, or the model has no transformer of its own.
    """

    def __init__(self, model: SentenceTransformer, rank: int, seed: int) -> None:
        try:
            from peft import LoraConfig  # noqa: PLC0415 (an extra)
            from peft.tuners.lora import LoraModel  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise InputError(
                f"train.lora_rank: {rank} needs peft, which is not installed; `pip install 'burnish[lora]'`, or set it to 0"
            ) from error
        inner = model.transformers_model
        if inner is None:
            raise InputError(f"train.lora_rank: {rank}, but the base model has no transformer to adapt; set it to 0")
        self.model = model
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear")
            self.lora: Any = LoraModel(inner, config, "default")

    def merge(self) -> None:
        """Add the adapters to the weights and remove them: the model has the layers that it had, all of them trainable."""
        self.lora.merge_and_unload()
        self.model.requires_grad_(requires_grad=True)

    def save(self, folder: Path) -> None:
        """Write weights and adapters, as they are, into a checkpoint."""
        with atomic.file(folder / _WEIGHTS) as temporary:
            save_file({name: value.contiguous() for name, value in self.model.state_dict().items()}, str(temporary))

    def load(self, folder: Path) -> None:
        """Take them from a checkpoint."""
        self.model.load_state_dict(load_file(str(folder / _WEIGHTS)))
