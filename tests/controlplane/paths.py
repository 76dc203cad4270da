"""Where things lie: what is expensive to make under the cache, what `down` may delete under the state.

Both follow the XDG base directories. A cluster's name becomes a directory name and part of a kind cluster's
name, hence the narrow alphabet.
"""

import os
import re
from pathlib import Path

from controlplane.errors import ControlPlaneError

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def cache_root() -> Path:
    return _base("XDG_CACHE_HOME", ".cache") / "keywright"


def clusters_root() -> Path:
    return _base("XDG_STATE_HOME", ".local/state") / "keywright" / "clusters"


def cluster_directory(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise ControlPlaneError(
            f"cluster name {name!r}: lower case letters, digits and inner dashes, at most 40"
        )
    return clusters_root() / name


def _base(variable: str, default: str) -> Path:
    configured = Path(os.environ.get(variable, ""))
    # The specification says that a relative path is to be ignored.
    return configured if configured.is_absolute() else Path.home() / default
