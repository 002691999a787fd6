"""The core's log as records of ``logging.getLogger("kurultai")``. The native part calls ``emit``."""

from __future__ import annotations

import logging

# Without a handler of its own, so that a program that configures no logging hears of failures: the last resort of
# `logging` writes warnings to stderr.
logger = logging.getLogger("kurultai")


def emit(records: list[tuple[int, str, str]]) -> int:
    """Logs what has come; answers with the lowest level that is wanted from now on."""
    for level, target, message in records:
        child = target.replace("::", ".").replace("kurultai_", "", 1)
        logging.getLogger(f"kurultai.{child}").log(level, "%s", message)
    return min(logger.getEffectiveLevel(), 255)
