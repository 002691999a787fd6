"""Functions of the caller's that the library calls: of either kind, and whatever becomes of them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from ._logs import logger


async def called(function: Callable[[Any], Any], name: str, argument: Any, about: str) -> bool:
    """Calls it, one that blocks in a thread; what it raises is logged. Whether it raised nothing."""
    try:
        if inspect.iscoroutinefunction(function):
            await function(argument)
        else:
            await asyncio.to_thread(function, argument)
    except Exception:
        logger.exception("%s failed with %s", name, about)
        return False
    return True
