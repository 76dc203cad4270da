"""The folders of examples/, and how kubectl is told of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docs.markdown import ROOT

if TYPE_CHECKING:
    from pathlib import Path

GATEWAYS = ROOT / "examples" / "gateways"  # parts of other projects' configurations: tests/gateways runs them
EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.is_dir() and path != GATEWAYS)
INDEX = ROOT / "docs" / "examples" / "README.md"


def page(example: Path) -> Path:
    """Return the document about an example."""
    own = example / "README.md"
    return own if own.exists() else INDEX.with_name(f"{example.name}.md")


def whole(example: Path) -> tuple[str, str]:
    """Return the arguments that stand for all manifests of an example."""
    return "-k" if (example / "kustomization.yaml").exists() else "-f", str(example)
