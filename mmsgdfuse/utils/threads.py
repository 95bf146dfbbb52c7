"""Doing the next thing while this one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """``map`` whose next results are computed in a thread while one is used.

    Args:
        function: Is called in one thread, in the order of the items.
        items: What it is called with.
        ahead: How many results may wait; 0 is plain ``map``.

    Raises:
        Whatever ``function`` raises, where its result would come.
    """
    if ahead < 1:
        yield from map(function, items)
        return
    source = iter(items)
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in source:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
