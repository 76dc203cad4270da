"""Where do programs come from that only a distribution builds: redis-server, nginx, wrk?

The one that a variable names (`KEYWRIGHT_TEST_REDIS` for redis-server), else the machine's own, else Debian's
package, unpacked into the cache with what it depends on and this machine lacks. That takes apt and dpkg, but
no root: nothing is installed. apt checks what it downloads by the distribution's signatures.
"""

import logging
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from controlplane.errors import ControlPlaneError
from controlplane.locking import only_one
from controlplane.paths import cache_root

log = logging.getLogger(__name__)

_DIRECTORIES = ("usr/bin", "usr/sbin", "bin", "sbin")
_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"  # where Debian has servers, and a user's PATH does not
# A line of what apt would do: "Inst libjemalloc2 (5.3.0-1 Debian:12.11/oldstable [amd64])".
_WOULD_INSTALL = re.compile(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) ", re.MULTILINE)


def binary(program: str, package: str | None = None) -> Path:
    """A program to run as it is, with any arguments; the process that starts is the program itself."""
    variable = variable_of(program)
    if given := os.environ.get(variable):
        return _named(variable, given)
    if own := shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}"):
        return Path(own)
    starter = _home(package or program) / program
    if not starter.exists():
        _require_apt(program, variable)
        with only_one(cache_root() / "debian.lock", doing="unpacking Debian packages"):
            if not starter.exists():
                _unpack(package or program, program, starter.parent)
    return starter


def variable_of(program: str) -> str:
    """KEYWRIGHT_TEST_REDIS for redis-server, KEYWRIGHT_TEST_NGINX for nginx."""
    return "KEYWRIGHT_TEST_" + program.removesuffix("-server").upper().replace("-", "_")


def _named(variable: str, value: str) -> Path:
    program = Path(value).expanduser().absolute()
    if not (program.is_file() and os.access(program, os.X_OK)):
        raise ControlPlaneError(f"{variable}={value}: no such program")
    return program


def _home(package: str) -> Path:
    """A directory for the package of this release: another one's would ask for other libraries."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    name = f"{release.get('ID', 'unknown')}-{release.get('VERSION_ID', 'unknown')}-{platform.machine()}"
    return cache_root() / "debian" / name / package


def _require_apt(program: str, variable: str) -> None:
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise ControlPlaneError(
            f"no {program} on PATH, and no {missing[0]} to get one: install it, or name one with {variable}"
        )


def _unpack(package: str, program: str, home: Path) -> None:
    """Downloads and unpacks beside the target, so that a killed run leaves no half program."""
    home.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in home.parent.glob(".unpack-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".unpack-") as scratch:
        downloads, made = Path(scratch) / "downloads", Path(scratch) / "made"
        downloads.mkdir()
        log.info("getting Debian's package %s for %s", package, program)
        _download(package, downloads)
        made.mkdir()
        for archive in sorted(downloads.glob("*.deb")):
            _run(["dpkg-deb", "-x", archive, made / "root"], made)
        shutil.rmtree(home, ignore_errors=True)
        _write_starter(program, made, home)
        made.rename(home)


def _download(package: str, directory: Path) -> None:
    """Goes by the machine's package lists; where they are missing or too old, by new ones in the cache."""
    try:
        _download_by((), package, directory)
    except ControlPlaneError:
        lists = cache_root() / "debian" / "lists"
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        settings = ("-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={lists.parent / 'apt'}")
        log.info("asking Debian what there is")
        _apt(settings, "update", directory=directory)
        _download_by(settings, package, directory)


def _download_by(settings: tuple[str, ...], package: str, directory: Path) -> None:
    """Downloads what apt would install; of a package that is installed already, that one alone."""
    would = _apt(settings, "install", "--simulate", "--no-install-recommends", package, directory=directory)
    wanted = [f"{name}={version}" for name, version in _WOULD_INSTALL.findall(would)]
    _apt(settings, "download", *(wanted or [package]), directory=directory)


def _apt(settings: tuple[str, ...], *arguments: str, directory: Path) -> str:
    # Its own sandbox user could not write into a home directory, and locks are root's.
    own = ("-q", "-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=true")
    return _run(["apt-get", *own, *settings, *arguments], directory)


def _run(command: list[str | Path], directory: Path) -> str:
    environment = os.environ | {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    result = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        said = "\n".join(result.stdout.splitlines()[-5:])
        raise ControlPlaneError(f"{' '.join(str(part) for part in command)} failed:\n{said}")
    return result.stdout


def _write_starter(program: str, made: Path, home: Path) -> None:
    """Writes a script that becomes the program: libraries lie beside it, and its pid stays the same."""
    root = made / "root"
    found = [directory for directory in _DIRECTORIES if os.path.lexists(root / directory / program)]
    if not found:
        raise ControlPlaneError(f"no program {program} in Debian's package; give binary() the right one")
    libraries = sorted({str(home / file.parent.relative_to(made)) for file in root.glob("**/*.so*")})
    lines = ["#!/bin/sh", f'exec {shlex.quote(str(home / "root" / found[0] / program))} "$@"', ""]
    if libraries:
        lines.insert(1, f"export LD_LIBRARY_PATH={shlex.quote(':'.join(libraries))}")
    starter = made / program
    starter.write_text("\n".join(lines), encoding="utf-8")
    starter.chmod(0o755)
