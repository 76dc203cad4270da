"""Programs that only a distribution has: without one, what needs it is skipped and counted in the summary.

In a CI system (CI=true) a skip would hide for ever that nothing was tested, so there it fails.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest

from controlplane import debian
from controlplane.errors import ControlPlaneError

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


def required(program: str, package: str | None = None) -> Path:
    """Return a program; skip the test where it cannot be had."""
    try:
        return debian.binary(program, package)
    except ControlPlaneError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        log.warning("%s", error)
        pytest.skip(f"no {program} here, and it cannot be installed; {debian.variable_of(program)} names one")
