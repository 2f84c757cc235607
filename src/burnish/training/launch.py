"""torchrun for a script that starts itself again, once a process: several on a machine, on one machine or several."""

import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import distributed
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure, record
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from burnish import errors
from burnish.errors import InputError, UnfinishedError

_MEET_SECONDS = 900  # that machines wait for one another
_TOLD = {kind.__name__: kind for kind in (InputError, UnfinishedError)}


def launched() -> bool:
    """Whether this process is one that `start` started."""
    return distributed.is_torchelastic_launched()


def start(command: Sequence[str], *, processes: int, machines: int, machine: int, address: str, logs: Path) -> None:
    """Run the Python script and flags of `command` in so many processes on this machine, and wait for their end.

    On a GPU machine each sees one GPU, as its first. What they print but for the first is kept in `logs` until all end well.

    Args:
        command: path of the script, and its flags.
        processes: on each machine.
        machines: that take part; each calls this.
        machine: the number of this one, from 0.
        address: host and port of machine 0, at which the machines meet; unused by one alone.
        logs: a folder for what goes wrong.

    Raises:
        InputError: this machine has too few GPUs, or a process raised it.
        UnfinishedError: a process or a machine failed; the message tells the first that did.
    """
    gpus = torch.cuda.device_count()
    if torch.cuda.is_available() and gpus < processes:
        raise InputError(f"train.launch.processes: {processes}, but this machine shows {gpus} GPUs; set it to {gpus} or fewer")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    shutil.rmtree(logs, ignore_errors=True)
    quiet = {at: Std.NONE if machine == at == 0 else Std.ALL for at in range(processes)}
    config = LaunchConfig(
        min_nodes=machines,
        max_nodes=machines,
        nproc_per_node=processes,
        rdzv_backend="static" if machines > 1 else "c10d",
        rdzv_endpoint=address if machines > 1 else "localhost:0",
        rdzv_configs={"rank": machine, "timeout": _MEET_SECONDS} if machines > 1 else {},
        run_id="burnish",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(str(logs), redirects=quiet),
        virtual_local_rank=torch.cuda.is_available(),
    )
    with _one_line(logs, processes * machines):
        elastic_launch(config, sys.executable)(*command)
    shutil.rmtree(logs)


@contextmanager
def _one_line(logs: Path, count: int) -> Iterator[None]:
    """Turn what torchrun raises, and logs at length, into one exception with one line."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    except ChildFailedError as error:
        raise _told(error, logs, count) from error
    except SignalException as error:
        raise UnfinishedError(f"training was stopped by {error.sigval.name}; the same command goes on") from error
    except (distributed.DistError, TimeoutError) as error:
        raise UnfinishedError(
            f"train.launch.machines: the machines did not meet within {_MEET_SECONDS // 60} minutes; see that machine 0 has "
            f"started, and that the others reach its port ({str(error).splitlines()[0]})"
        ) from error
    finally:
        logging.disable(logging.NOTSET)


def _told(error: ChildFailedError, logs: Path, count: int) -> Exception:
    """What the process that failed first had to say; the others fail since it does."""
    rank, failure = min(error.failures.items(), key=lambda one: _order(one[1]))
    message: Any = failure.message
    if isinstance(message, str):  # a signal, or an exit without an exception
        return UnfinishedError(f"training process {rank} of {count} ended: {message}; the same command goes on")
    kind, _, text = message["message"].partition(": ")
    if kind in _TOLD:
        return _TOLD[kind](text)
    trace = logs / f"process-{rank}.txt"
    trace.write_text(message["extraInfo"]["py_callstack"], encoding="utf-8")
    line = text.splitlines()[0] if text else ""
    return UnfinishedError(
        f"training process {rank} of {count} failed with {kind}: {line}; {trace} has all of it; the same command goes on from the "
        "last checkpoint"
    )


def _order(failure: ProcessFailure) -> tuple[int, float]:
    """First of all what the system killed, for want of memory; then by the time of the exception."""
    path = Path(failure.error_file)
    if path.is_file():
        return 1, path.stat().st_mtime
    return (0, 0.0) if failure.exitcode == -9 else (2, 0.0)


def join() -> None:
    """Meet the other processes, in a process that `start` started; nothing in any other.

    The environment then no longer tells of them, or Accelerate would cut batches and wrap the model by itself; transformers
    would warn of that.
    """
    if not launched():
        return
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    logging.getLogger("transformers.training_args").addFilter(lambda told: "parallel_mode" not in told.getMessage())
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        os.environ.pop(name, None)


def _end_with(parent: int) -> None:
    """End this process once `parent` has ended, killed perhaps, and could not end it."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def run(command: Callable[[], object]) -> NoReturn:
    """As errors.run; in a process that `start` started a failure is written down, and told by the one who started it."""
    if not launched():
        errors.run(command)

    def together() -> None:
        record(command)()
        if distributed.is_initialized():
            distributed.destroy_process_group()

    sys.excepthook = lambda *_: None
    errors.run(together, tell=lambda _: None)
