"""What the documents tell a reader to type works as written, in order, and prints what they show."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from docs.markdown import DOCUMENTS, ROOT, WRITTEN_BY_HAND, Block, Command, anchors, blocks, links, same_shape
from docs.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

README = ROOT / "README.md"
QUICKSTART = ROOT / "examples" / "quickstart" / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
EXAMPLE_PAGES = {
    page
    for page in (ROOT / "docs" / "examples").glob("*.md")
    if page.name != "README.md"
    and not page.name.startswith("gateways-")  # those say what to copy, not to type
}
TYPED_ELSEWHERE = {
    ROOT / "charts" / "keywright" / "README.md",  # by tests/chart
    ROOT / "docs" / "signed-revocation-list.md",  # by test_signed_revocation_list.py
    ROOT / "docs" / "uninstall.md",  # by tests/chart
    *EXAMPLE_PAGES,  # by test_examples.py
}

BEGINNING, END = "Install", "Stop and clean up"

ELSEWHERE = {
    "make demo": "test_demo.py runs it",
    "make demo KEEP=1": "test_demo.py runs it",
    "make demo-end": "test_demo.py runs it",
    "make test": "these are its tests",
    "make lint": "make test begins with it",
    "make kind": "needs a container engine",
    "make captures": "writes into the tree; test_kubectl.py checks that it has nothing to write",
    "make generate": "writes into the tree; make lint checks that it has nothing to write",
    "make format": "writes into the tree; make lint checks that it has nothing to write",
}
"""Lines that this file does not type, each with the reason."""


@pytest.fixture(scope="module")
def reader(kubectl: str, helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader who has done what README.md says under Install, and who cleans up as it says."""
    reader = Reader(tmp_path_factory.mktemp("reader"), kubectl=Path(kubectl), helm=helm)
    try:
        reader.type_all(commands(README, only=BEGINNING))
        yield reader
        reader.type_all(commands(README, only=END))
    finally:
        reader.close()
        # Its own words for that have ended the cluster, unless something failed before them.
        down = ["make", "cluster-down", "CLUSTER=quickstart"]
        subprocess.run(down, cwd=ROOT, env=reader.environment, check=True)


def commands(document: Path, only: str = "") -> list[Command]:
    """Return what is to be typed of a document: of one section, or of all but the first and the last step."""
    chosen = [
        block
        for block in blocks(document)
        if (block.section == only if only else block.section not in {BEGINNING, END})
    ]
    found = [command for block in chosen for command in block.commands]
    return [without for command in found if (without := _typed_here(command)).line.strip()]


def _typed_here(command: Command) -> Command:
    lines = [line for line in command.line.splitlines() if line.partition("#")[0].strip() not in ELSEWHERE]
    return Command("\n".join(lines), command.shown)


@pytest.mark.parametrize("document", [README, QUICKSTART], ids=["README", "quickstart"])
def test_all_that_it_says_to_type_works(reader: Reader, document: Path) -> None:
    reader.type_all(commands(document))


def test_only_these_documents_say_what_to_type() -> None:
    typing = {document for document in WRITTEN_BY_HAND if any(block.commands for block in blocks(document))}
    assert typing == {README, QUICKSTART, CONTRIBUTING, *TYPED_ELSEWHERE}
    assert commands(CONTRIBUTING) == []


def test_every_block_says_what_it_is() -> None:
    known = {"sh", "console", "yaml", "text", "python"}
    assert {block.language for document in WRITTEN_BY_HAND for block in blocks(document)} <= known


def manifests() -> list[tuple[str, Block]]:
    found = [(document, block) for document in WRITTEN_BY_HAND for block in blocks(document)]
    return [(str(document.relative_to(ROOT)), block) for document, block in found if block.language == "yaml"]


@pytest.mark.parametrize(
    ("document", "block"), manifests(), ids=lambda value: getattr(value, "section", value)
)
def test_every_manifest_is_accepted(reader: Reader, document: str, block: Block) -> None:
    obj = yaml.safe_load(block.text)
    # Its own namespace is not there at every time; what is asked is whether the API server takes the object.
    namespace = obj["metadata"].pop("namespace", "default")
    reader.type_all([Command(f"kubectl get namespace {namespace} || kubectl create namespace {namespace}")])
    create = f"kubectl create --dry-run=server --validate=strict -n {namespace} -f -"
    reader.type_all([Command(f"{create} <<'EOF'\n{yaml.safe_dump(obj)}EOF")])


def test_an_output_that_is_not_as_shown_is_noticed() -> None:
    shown = "NAME   KEY-ID             AGE\ncheckout   7f3k2m9q0r4t6v8x   0s\n"
    assert same_shape(shown, "NAME KEY-ID AGE\ncheckout abcdefghijklmnop 2m\n")
    assert not same_shape(shown, "NAME KEY-ID AGE\ncheckout abcdefghijklmno 2m\n")
    assert not same_shape(shown, "NAME KEY-ID AGE\n")
    assert same_shape("NAME\n…\nEND\n", "NAME\na b\nc\nEND\n")
    assert not same_shape("NAME\n…\nEND\n", "a b\nc\nEND\n")


def test_the_api_key_that_is_shown_is_the_one_of_the_quickstart() -> None:
    shown = next(block for block in blocks(README) if block.language == "yaml")
    file = ROOT / "examples" / "quickstart" / "3-apikey.yaml"
    assert file.read_text().endswith(shown.text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link
