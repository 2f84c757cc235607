"""Where work is computed: in this process, or on the machines of a Ray cluster. What comes out is the same.

Ray Data maps items over workers that are made once each, and repeats what a lost machine had under way. Ray's own actors
answer calls, one at a time and never repeated: a call may cost money.
"""

import importlib.util
import itertools
import logging
import os
import pickle
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import pyarrow as pa
from pydantic import Field

from burnish import knobs
from burnish.errors import InputError, UnfinishedError
from burnish.knobs import Knobs

T = TypeVar("T")
R = TypeVar("R")

_SECONDS_TO_CONNECT = 10
_LIVES = 20  # of a worker: machines may be lost so often; a document that kills its reader ends the run


class Compute(Knobs):
    """The section `compute` of params.yaml, where each knob is explained."""

    engine: Literal["local", "ray"]
    address: Annotated[str, Field(pattern=r"^(auto|[\w.-]+:\d{1,5})?$")]
    cpus: Annotated[int, Field(ge=1, le=1024)]


class LostError(Exception):
    """The machine that a call was made on is gone; whether the call was served is not known."""


def chosen(params: Path) -> Compute:
    """The knobs in the file `params`. No stage declares them to DVC: they change where work is done, never what comes out."""
    return knobs.section(params, "compute", Compute)


@contextmanager
def cluster(wanted: Compute) -> Iterator["Cluster | None"]:
    """The cluster that the knobs name, to be left at the end of the block; None where this process computes.

    Raises:
        InputError: ray is not installed, or no cluster answers at the address.
    """
    if wanted.engine == "local":
        yield None
        return
    found = Cluster(_connected(wanted.address), wanted.cpus)
    try:
        yield found
    finally:
        found.ray.shutdown()


class Cluster:
    """A Ray cluster that this process is connected to, each of whose machines has this folder at the same path."""

    def __init__(self, ray: Any, cpus: int) -> None:
        self.ray = ray
        self._folder = str(Path.cwd())
        self._cpus = cpus

    def mapped(
        self, make: Callable[[], Callable[[T], R]], items: Iterable[T], *, model: bool = False
    ) -> Iterator[tuple[int, R]]:
        """(place in `items`, result) of each item, as they come, computed by all of the cluster's workers.

        A worker lives as long as this call. What a lost machine had under way is computed again by another. Where order was kept,
        results would pile up behind it. The items lie in Ray's object store, which spills to disk what memory does not hold.

        Args:
            make: called once by each worker; what it gives is called with each item. Found by name, so not a lambda.
            items: each a task of its own, so large enough to be worth one: some seconds of work.
            model: a worker holds a model: it gets a GPU where the cluster has any, else `compute.cpus` cores.

        Raises:
            InputError: what a worker raised, word for word.
            UnfinishedError: workers were lost again and again.
        """
        data = importlib.import_module("ray.data")
        self._quiet(data)
        sealed = (pa.table({"place": [place], "item": [pickle.dumps(item)]}) for place, item in enumerate(items))
        references = [self.ray.put(one) for one in sealed]
        if not references:
            return
        needs = self._needs(model=model)
        mapped = data.from_arrow_refs(references).map_batches(
            _Worker,
            fn_constructor_kwargs={"make": make, "folder": self._folder},
            batch_size=None,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(min_size=1, initial_size=min(len(references), self._workers(needs))),
            max_restarts=_LIVES,
            max_task_retries=_LIVES,
            **needs,
        )
        with self._telling():
            for row in mapped.iter_rows():
                yield row["place"], _opened(row["result"])

    def once(self, function: Callable[[], R], *, model: bool = False) -> R:
        """What `function` gives on one of the workers that `mapped` would use."""
        with self._telling():
            task = self.ray.remote(max_retries=_LIVES, **self._needs(model=model))(_asked)
            found: R = _opened(self.ray.get(task.remote(function, self._folder)))
        return found

    def callers(self, make: Callable[[], Callable[[T], Awaitable[R]]]) -> "Callers[T, R]":
        """A caller on each machine, made once by `make`; they take no core for themselves."""
        machines = sum(node["Alive"] for node in self.ray.nodes())
        kind = self.ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0, scheduling_strategy="SPREAD")(_Caller)
        return Callers([kind.remote(make, self._folder) for _ in range(machines)], self.ray.exceptions.RayError)

    def _needs(self, *, model: bool) -> dict[str, int]:
        """What a worker takes of its machine."""
        if model and self.ray.cluster_resources().get("GPU", 0) >= 1:
            return {"num_gpus": 1}
        return {"num_cpus": self._cpus if model else 1}

    def _workers(self, needs: dict[str, int]) -> int:
        """How many workers the machines hold, at least one.

        Raises:
            InputError: not one: it would be waited for in vain.
        """
        ((name, each),) = needs.items()
        kind = name.removeprefix("num_")[:3].upper()
        machines = [node["Resources"].get(kind, 0) for node in self.ray.nodes() if node["Alive"]]
        if not (found := sum(int(have // each) for have in machines)):
            raise InputError(f"compute.cpus: {each}, but no machine of the cluster has so many cores ({machines}); lower it")
        return found

    def _quiet(self, data: Any) -> None:
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        for name in ("ray.data", "ray.util"):
            logging.getLogger(name).setLevel(logging.ERROR)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Ray's errors in one line, but for those that say where this code is wrong."""
        kinds = self.ray.exceptions
        try:
            yield
        except (kinds.RayTaskError, kinds.UserCodeException):
            raise
        except kinds.RayError as error:
            raise UnfinishedError(
                f"compute.engine ray: the cluster lost the work ({_first_line(error)}); see to its machines and their memory, then "
                "run the same command again; what a store keeps is not computed again"
            ) from error


class Callers(Generic[T, R]):
    """Callers on several machines, called by turns; one that is lost is left alone while there are others."""

    def __init__(self, actors: list[Any], lost: type[Exception]) -> None:
        self._all = self._actors = actors
        self._lost = lost
        self._turns = itertools.count()

    async def call(self, item: T) -> R:
        """What the next caller gives for `item`. Never repeated by itself.

        Raises:
            InputError: what the caller raised, word for word.
            LostError: the caller's machine was lost.
        """
        actor = self._actors[next(self._turns) % len(self._actors)]
        try:
            answer = await actor.call.remote(pickle.dumps(item))
        except self._lost as error:
            if type(error).__name__.startswith("RayTaskError"):
                raise
            # Until Ray has noticed, which takes longer than a few retries, it would fail at once and so draw the calls.
            others = [[one for one in some if one is not actor] for some in (self._actors, self._all)]
            self._actors = others[0] or others[1] or self._all  # those that were lost long ago may be back
            raise LostError(_first_line(error)) from error
        found: R = _opened(answer)
        return found


class _Worker:
    """One of Ray Data's workers, which makes what it needs with its first item."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]], folder: str) -> None:
        self._make = make
        self._folder = folder
        self._function: Callable[[Any], Any] | None = None

    def __call__(self, rows: pa.Table) -> pa.Table:
        results = [_sealed(partial(self._result, item)) for item in rows["item"].to_pylist()]
        return pa.table({"place": rows["place"], "result": results})

    def _result(self, item: bytes) -> Any:
        if self._function is None:
            _enter(self._folder)
            self._function = self._make()
        return self._function(pickle.loads(item))  # noqa: S301 (from this program's own driver)


class _Caller:
    """A caller on one machine."""

    def __init__(self, make: Callable[[], Callable[[Any], Awaitable[Any]]], folder: str) -> None:
        self._make = make
        self._folder = folder
        self._function: Callable[[Any], Awaitable[Any]] | None = None

    async def call(self, item: bytes) -> bytes:
        """The sealed result for a sealed item."""
        try:
            if self._function is None:
                _enter(self._folder)
                self._function = self._make()
            found = await self._function(pickle.loads(item))  # noqa: S301 (from this program's own driver)
        except InputError as error:
            return pickle.dumps(error)
        return pickle.dumps(found)


def _asked(function: Callable[[], Any], folder: str) -> bytes:
    def result() -> Any:
        _enter(folder)
        return function()

    return _sealed(result)


def _sealed(result: Callable[[], Any]) -> bytes:
    """A result as bytes, or the error that the user can mend: Ray would wrap it."""
    try:
        return pickle.dumps(result())
    except InputError as error:
        return pickle.dumps(error)


def _opened(sealed: bytes) -> Any:
    found = pickle.loads(sealed)  # noqa: S301 (from this program's own workers)
    if isinstance(found, InputError):
        raise found
    return found


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise InputError(
            f"compute.engine ray: expected the folder {folder} on every machine of the cluster, found none on "
            f"{socket.gethostname()}; share it at the same path"
        ) from error


def _connected(address: str) -> Any:
    """The module ray, connected."""
    if importlib.util.find_spec("ray") is None:
        raise InputError(
            "compute.engine: ray needs the package ray, which is not installed; `pip install 'burnish[ray]'`, or set it to local"
        )
    host, _, port = address.rpartition(":")
    try:
        if host:  # Ray itself would try for minutes
            socket.create_connection((host, int(port)), _SECONDS_TO_CONNECT).close()
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # of a Ray that is started here
        ray = importlib.import_module("ray")
        own = {} if address else {"include_dashboard": False}
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        raise InputError(
            f"compute.address {address!r}: no Ray cluster to work on ({_first_line(error)}); start one on this machine with "
            "`ray start`, name its address, or set compute.engine to local"
        ) from error
    return ray


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
