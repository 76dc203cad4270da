"""What docs/signed-revocation-list.md says to type and to program works as written."""

from __future__ import annotations

import base64
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from docs.markdown import ROOT, Block, blocks
from docs.reader import Reader
from keywright import srl
from keywright.revocations import Outcome
from keywright.verifier.key_files import Purpose, Role, read_keys
from keywright.verifier.key_rotation import create
from keywright.verifier.revocation_list import RevocationLists, entry
from keywright.verifier.signing_keys import SigningKeys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.kubectl import Kubectl
    from keywright.verifier.key_files import SigningKey

PAGE = ROOT / "docs" / "signed-revocation-list.md"
PROJECT = "platform/payments"


def section(title: str, language: str) -> list[Block]:
    found = [block for block in blocks(PAGE) if (block.section, block.language) == (title, language)]
    assert found, title
    return found


class Source:
    """An index that knows one revoked key."""

    seq, changes = 100, 1

    def __init__(self) -> None:
        self.synced_at = datetime.now(UTC)

    def entries(self, project: str) -> list[srl.Revoked]:
        assert project == PROJECT
        return [entry("7f3k2m9q0r4t6v8x", at=self.synced_at, reason="KeyCompromise", until=None)]


@pytest.fixture
def verifier(tmp_path: Path) -> Iterator[str]:
    """Serves the list and the JWKS as the page says, to whoever has the key."""
    create(tmp_path / "keys")
    keys = SigningKeys(tmp_path / "keys")
    lists = RevocationLists(
        Source(),
        keys,
        issuer="https://keywright.example.com",
        max_staleness=timedelta(minutes=5),
        clock=lambda: datetime.now(UTC),
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/.well-known/jwks.json":
                self.answer(200, keys.jwks, {})
            elif self.headers["Authorization"] != "Bearer a-key-of-the-test":
                self.answer(401, b"", {})
            else:
                signed = lists.of(PROJECT)
                known = self.headers["If-None-Match"] == signed.etag
                self.answer(304 if known else 200, b"" if known else signed.token, {"ETag": signed.etag})

        def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_consumer_that_is_shown_lets_nobody_in_whose_key_is_revoked(
    verifier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYWRIGHT_URL", verifier)
    monkeypatch.setenv("KEYWRIGHT_KEY", "a-key-of-the-test")
    monkeypatch.chdir(tmp_path)
    program: dict[str, Any] = {}
    exec(section("Consume it", "python")[0].text, program)
    assert not program["may_pass"]("7f3k2m9q0r4t6v8x")
    assert program["may_pass"]("another-key-of16")
    assert program["feed"].poll() is Outcome.UNCHANGED
    assert (tmp_path / "revocations.json").exists()
    program["http"].close()


def test_the_list_that_is_shown_has_the_claims_that_are_signed() -> None:
    header, claims = yaml.safe_load_all(
        section("What stands in a list", "text")[0].text.replace('"}\n{', '"}\n---\n{')
    )
    assert set(header) == {"alg", "typ", "kid"}
    (shown_entry,) = claims["revoked"]
    shown = srl.Claims(
        claims["iss"],
        claims["aud"],
        claims["iat"],
        claims["exp"],
        claims["epoch"],
        claims["seq"],
        (srl.Revoked(**shown_entry),),
    )
    assert shown.members() == claims


@pytest.fixture
def reader(
    kubectl: str, helm: Path, kubeconfig: Path, kubectl_as_admin: Kubectl, tmp_path: Path
) -> Iterator[Reader]:
    namespace = yaml.safe_dump(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "keywright-system"}}
    )
    kubectl_as_admin("apply", "-f", "-", stdin=namespace)
    reader = Reader(tmp_path, kubectl=Path(kubectl), helm=helm)
    reader.type("export KUBECONFIG=" + str(kubeconfig))
    yield reader
    reader.close()
    kubectl_as_admin("delete", "secret", "keywright-signing", "-n", "keywright-system", "--ignore-not-found")


def test_all_that_it_says_to_type_makes_keys_that_can_be_used(
    reader: Reader, kubectl_as_admin: Kubectl, tmp_path: Path
) -> None:
    def keys() -> tuple[int, Mapping[Role, SigningKey]]:
        text = kubectl_as_admin("get", "secret", "keywright-signing", "-n", "keywright-system", "-o", "yaml")
        mount = tmp_path / "mount"
        mount.mkdir(exist_ok=True)
        for path in mount.iterdir():
            path.unlink()
        for name, value in yaml.safe_load(text)["data"].items():
            (mount / name).write_bytes(base64.b64decode(value))
        files = read_keys(mount)
        return files.epoch, files.rings[Purpose.LIST]

    def types(title: str, at: int = 0) -> tuple[int, Mapping[Role, SigningKey]]:
        reader.type_all(section(title, "sh")[at].commands)
        return keys()

    assert types("The keys")[0] == 1
    made = keys()[1]
    _, rotated = types("Rotate them")
    assert (rotated[Role.CURRENT], rotated[Role.PREVIOUS]) == (made[Role.NEXT], made[Role.CURRENT])
    assert set(types("Rotate them", 1)[1]) == {Role.NEXT, Role.CURRENT}
    epoch, replaced = types("A key that somebody else has")
    assert epoch > 1
    assert not set(replaced.values()) & set(rotated.values())
    assert types("After a restore")[0] >= epoch
