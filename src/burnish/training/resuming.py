"""Going on after a kill: which of a trainer's checkpoints can be trusted."""

import shutil
from pathlib import Path

from transformers import TrainerState
from transformers.trainer_utils import get_last_checkpoint


def last_whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end, which its state closes; others are removed."""
    while found := get_last_checkpoint(str(folder)):
        try:
            TrainerState.load_from_json(str(Path(found) / "trainer_state.json"))
        except (FileNotFoundError, ValueError):
            shutil.rmtree(found)
        else:
            return str(found)
    return None
