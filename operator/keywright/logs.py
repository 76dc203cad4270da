"""One renderer for every log line, ours and those of aiohttp and asyncio.

Two lines of defence for raw keys: exceptions are shown as type and place, with a message only where
it is known to hold no data; and whatever has the form of a raw key is masked in the finished line.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from typing import TYPE_CHECKING, Any, Literal

import structlog

from keywright.errors import KeywrightError

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

Format = Literal["console", "json"]

_RAW_KEY = re.compile(r"([a-z][a-z0-9_]{1,32}_(?:dev|prod|client)_[a-z0-9]{16})_[0-9A-Za-z]{49}")


def configure(style: Format, level: str) -> None:
    """Send every log line to standard error in one format."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _describe_exception,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    render = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Masking(foreign_pre_chain=shared, processors=[render, _renderer(style)]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def mask(text: str) -> str:
    """Return a text in which nothing has the form of a raw key any more; the hint stays."""
    return _RAW_KEY.sub(r"\1_…", text)


def origin_of(error: BaseException) -> str:
    """Return where an error was raised: `file.py:12 in function`, innermost first, at most five frames."""
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    return " < ".join(
        f"{_short(frame.filename)}:{frame.lineno} in {frame.name}" for frame in reversed(frames)
    )


def describe(error: BaseException) -> str:
    """Return an error's type and place, and its message where that cannot hold data; causes included."""
    chain: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        message = f": {current}" if isinstance(current, (KeywrightError, OSError)) else ""
        chain.append(f"{type(current).__name__}{message} ({origin_of(current)})")
        if isinstance(current, BaseExceptionGroup):
            chain.extend(describe(inner) for inner in current.exceptions)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return " <- ".join(chain)


class _Masking(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


def _describe_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    info: Any = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["exception"] = describe(error)
    return event


def _renderer(style: Format) -> Processor:
    if style == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)


def _short(filename: str) -> str:
    return "/".join(filename.rsplit("/", 2)[-2:])
