"""What a piece of code costs: parameters, FLOPs, peak memory and time."""

from __future__ import annotations

import contextlib
import multiprocessing
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

#: What :func:`count_flops` counts, for the head of a table.
FLOPS_COUNTED = (
    'floating-point operations of convolutions and matrix products, a multiplication and an '
    'addition being two; biases, normalisation, activations and interpolation are not counted'
)

_Result = TypeVar('_Result')


def count_parameters(*modules: nn.Module) -> int:
    """Parameters of the modules, trainable or not; what they share counts once.

    Examples:
        >>> count_parameters(nn.Conv2d(3, 8, 3))
        224
    """
    return sum({id(p): p.numel() for module in modules for p in module.parameters()}.values())


def count_flops(function: Callable[[], Any]) -> int:
    """Floating-point operations of one call, as :data:`FLOPS_COUNTED` says.

    Args:
        function: What to run; it is called once.

    Examples:
        >>> layer = nn.Linear(10, 4)
        >>> count_flops(lambda: layer(torch.zeros(2, 10)))  # 2 * 2 * 10 * 4
        160
    """
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


@dataclass(frozen=True)
class Spread:
    """Values of repeated measurements in four numbers.

    Args:
        median: Median.
        low: Lower quartile.
        high: Upper quartile.
        count: How many values there are.
    """

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise measurements.

        Raises:
            ValueError: There is none.

        Examples:
            >>> Spread.of([4.0, 1.0, 2.0, 3.0, 5.0])
            Spread(median=3.0, low=2.0, high=4.0, count=5)
        """
        if not values:
            raise ValueError('there are no values to summarise')
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1)
        low, median, high = statistics.quantiles(values, n=4, method='inclusive')
        return cls(median, low, high, len(values))


def time_beside(
    function: Callable[[], Any],
    reference: Callable[[], Any],
    repeats: int = 10,
    budget: float | None = None,
    device: str | torch.device = 'cpu',
) -> tuple[list[float], list[float]]:
    """Time a function and, before each of its runs, a reference.

    What else the machine is doing slows both down, so their ratio says more than the times.
    Nothing is run beforehand to warm up.

    Args:
        function: What is timed.
        reference: What it is compared with.
        repeats: Runs of each. Default 10.
        budget: Seconds after which no further run begins, once there are three. Default: none.
        device: Where the functions compute; a GPU's queue is waited for. Default 'cpu'.

    Returns:
        Seconds of each run of the function, and of the reference.

    Raises:
        ValueError: ``repeats`` is below 1.
    """
    reference_times, times = time_in_turn((reference, function), repeats, budget, device)
    return times, reference_times


def time_in_turn(
    functions: Sequence[Callable[[], Any]],
    repeats: int = 10,
    budget: float | None = None,
    device: str | torch.device = 'cpu',
) -> list[list[float]]:
    """Time several functions in rounds, each once per round, as :func:`time_beside` does two.

    Args:
        functions: What is timed, in this order.
        repeats: Rounds. Default 10.
        budget: Seconds after which no further round begins, once there are three. Default: none.
        device: Where the functions compute; a GPU's queue is waited for. Default 'cpu'.

    Returns:
        Seconds of each run, by function.

    Raises:
        ValueError: ``repeats`` is below 1.
    """
    if repeats < 1:
        raise ValueError(f'repeats must be at least 1, found {repeats}')
    began = time.perf_counter()
    rounds: list[list[float]] = []
    while len(rounds) < repeats:
        if budget is not None and len(rounds) >= 3 and time.perf_counter() - began > budget:
            break
        rounds.append([_seconds(function, device) for function in functions])
    return [list(times) for times in zip(*rounds)]


def describe_device(device: str | torch.device = 'cpu') -> str:
    """Name of the processor or the GPU that numbers were measured on."""
    if torch.device(device).type == 'cuda':
        return torch.cuda.get_device_name(device)
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
        return next(line.split(':')[1].strip() for line in lines if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _seconds(function: Callable[[], Any], device: str | torch.device) -> float:
    _wait_for(device)
    began = time.perf_counter()
    function()
    _wait_for(device)
    return time.perf_counter() - began


def _wait_for(device: str | torch.device) -> None:
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Memory:
    """Memory around one call, in bytes.

    Args:
        idle: In use before the call.
        peak: The most that was in use during it.
    """

    idle: int
    peak: int


def measure_memory(
    function: Callable[[], Any], device: str | torch.device = 'cpu'
) -> Memory | None:
    """Memory that one call needs.

    On a GPU this is what PyTorch has allocated; on a CPU the process's resident set, with the
    interpreter, its libraries and all data. There a process that has done other work before
    holds on to memory, so call it in one of its own (:func:`in_fresh_process`).

    Args:
        function: What to run; it is called once.
        device: Where it computes. Default 'cpu'.

    Returns:
        The memory; ``None`` on a CPU where the system does not tell (Windows).
    """
    device = torch.device(device)
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        idle = torch.cuda.memory_allocated(device)
        function()
        torch.cuda.synchronize(device)
        return Memory(idle, torch.cuda.max_memory_allocated(device))
    _forget_peak()
    idle_now = _resident('VmRSS')
    function()
    peak = _resident('VmHWM')
    return None if idle_now is None or peak is None else Memory(idle_now, peak)


def _forget_peak() -> None:
    """Let the peak of this process start anew from what it uses now, where that is possible."""
    with contextlib.suppress(OSError):
        Path('/proc/self/clear_refs').write_text('5')


def _resident(field: str) -> int | None:
    """Resident set of this process, now (``VmRSS``) or at its peak (``VmHWM``), in bytes.

    Linux's ``ru_maxrss`` would not do: a new process inherits the value of its parent.
    """
    try:
        status = Path('/proc/self/status').read_text()
    except OSError:
        return _maximum_of_rusage()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if field in line))


def _maximum_of_rusage() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == 'darwin' else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def in_fresh_process(
    function: Callable[..., _Result], *args: Any, preload: Sequence[str] = ()
) -> _Result:
    """Call a function in a process of its own.

    On Linux without a GPU such processes are forked from one that has done nothing but import
    ``preload``, so that only the first takes seconds to start.

    Args:
        function: Function at the top level of a module.
        *args: Its arguments; like its result they must be picklable.
        preload: Names of the modules that take long to import.

    Raises:
        MemoryError: The process was killed, which is what happens when memory runs out.
        Exception: What the function raised.
    """
    context: Any
    # with a GPU, importing the preloaded modules initialises CUDA, which does not survive a fork
    if sys.platform == 'linux' and not torch.cuda.is_available():
        context = multiprocessing.get_context('forkserver')
        context.set_forkserver_preload(list(preload))
    else:
        context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        try:
            return pool.submit(function, *args).result()
        except BrokenProcessPool as error:
            raise MemoryError(
                'the process ended without a result, which happens when memory runs out'
            ) from error
