"""The first key: YAML in, a working API key in a Secret."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from harness import manifests
from harness.waiting import until

from keywright.keys import raw

if TYPE_CHECKING:
    from harness.api import Api
    from harness.operator import Operator


def ready(obj: dict) -> dict:  # type: ignore[type-arg]
    conditions = obj.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == "Ready"), {})


def test_a_key_is_minted_and_its_digest_matches(admin: Api, operator: Operator, namespace: str) -> None:
    admin.create(manifests.project(namespace))
    admin.create(manifests.api_key(namespace))
    key = until(
        lambda: admin.get("ApiKey", "checkout", namespace), lambda o: ready(o).get("reason") == "Active"
    )
    value = base64.b64decode(admin.get("Secret", "checkout", namespace)["data"]["apiKey"])
    digest = "sha256:" + hashlib.sha256(value).hexdigest()
    assert [digest] == [generation["digest"] for generation in key["status"]["keys"]]
    assert raw.parse(value.decode()).id == key["status"]["currentKeyID"]
