"""One at a time: two builds into one cache, or two `up` of one name, must not interleave.

flock, because the kernel lets go of it when the holder dies, however it dies.
"""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def only_one(lock: Path, *, doing: str) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting: another process is %s", doing)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
