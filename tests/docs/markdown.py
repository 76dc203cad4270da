"""What a document tells its reader to type, what it shows in answer, and where it points."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "charts/**/*.md", "docs/**/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
)

# What a program has written from a real run is that program's to check.
WRITTEN_BY_HAND = [path for path in DOCUMENTS if not path.read_text().startswith("<!-- Written by ")]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")

# What differs from run to run, whatever a document shows of it.
_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "<time>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<digest>"),
    (re.compile(r"\b(?=[a-z]*\d)[a-z0-9]{16}\b"), "<id>"),
    (re.compile(r"\b\d+(?:m(?:\d+s)?|s)\b"), "<age>"),
)
_KEY_ID = re.compile(r"(?<=[ _-])[a-z0-9]{16}(?=\s|$)", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """Something to type, and what the document shows as its output; None: nothing is shown."""

    line: str
    shown: str | None = None


@dataclass(frozen=True)
class Block:
    """A fenced block and the heading under which it stands."""

    language: str
    text: str
    section: str

    @property
    def commands(self) -> list[Command]:
        """What to type: a `sh` block as it is, of a `console` block the lines after `$ `."""
        if self.language == "sh":
            return [Command(self.text)]
        if self.language != "console":
            return []
        head, *entries = re.split(r"^\$ ", self.text, flags=re.MULTILINE)
        assert not head, f"a console block begins with a command: {self.text}"
        parts = [entry.partition("\n") for entry in entries]
        return [Command(line, shown) for line, _, shown in parts]


def blocks(document: Path) -> list[Block]:
    """Return all fenced blocks of a document."""
    text = document.read_text()
    assert text.count("\n```") % 2 == 0, f"{document}: a fence without an end"
    # Within a block, a comment of a shell or of YAML looks like a heading.
    prose = _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    headings = [(match.start(), match[1]) for match in _HEADING.finditer(prose)]
    return [
        Block(
            match[1],
            match[2],
            next((title for at, title in reversed(headings) if at < match.start()), ""),
        )
        for match in _FENCE.finditer(text)
    ]


def links(document: Path) -> list[str]:
    """Return where a document points within the tree: `path`, `path#anchor` or `#anchor`."""
    found = _LINK.findall(_FENCE.sub("", document.read_text()))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings."""
    headings = _HEADING.findall(_FENCE.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def same_shape(shown: str, printed: str) -> bool:
    """Whether an output is as shown, but for ids, times and spacing; a line `…` stands for any lines."""
    parts = [re.escape(_shape(part)) for part in re.split(r"^…$", shown, flags=re.MULTILINE)]
    return re.fullmatch(r"\s*.*\s*".join(parts), _shape(printed), re.DOTALL) is not None


def _shape(text: str) -> str:
    for pattern, name in _VARYING:
        text = pattern.sub(name, text)
    return " ".join(_KEY_ID.sub("<id>", text).split())
