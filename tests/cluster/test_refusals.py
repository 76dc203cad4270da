"""Wrong manifests at the terminal: refused with what to write instead, or, where only the operator can
see what is wrong, accepted and told in a condition. Never a crash, never a silent skip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness import manifests
from harness.conditions import condition, until_reason

if TYPE_CHECKING:
    from harness.api import Api
    from harness.kubectl import Kubectl
    from harness.operator import Operator


@dataclass(frozen=True)
class Wrong:
    """A manifest's spec, and all that the person who applies it is told."""

    spec: dict[str, Any]
    told: tuple[str, ...]
    before: dict[str, Any] | None = None


API_KEYS = {
    "days": Wrong(
        {"expiresAfter": "90d"},
        (
            (
                'spec.expiresAfter: Invalid value: "90d": write a duration in h, m, s or ms, such as "2160h" '
                "for 90 days (there is no unit for days)"
            ),
        ),
    ),
    "two ways to rotate": Wrong(
        {"rotation": {"interval": "720h", "schedule": "0 3 * * 1"}},
        ("spec.rotation: ", "write exactly one of interval, schedule and beforeExpiry, or policy: Never"),
    ),
    "a schedule beside Never": Wrong(
        {"rotation": {"policy": "Never", "schedule": "0 3 * * 1"}},
        ("with policy: Never leave out interval, schedule, timeZone and beforeExpiry",),
    ),
    "an interval that outlasts the key": Wrong(
        {"expiresAfter": "720h", "rotation": {"interval": "720h"}},
        ("spec.rotation.interval: ", "write a rotation.interval shorter than expiresAfter"),
    ),
    "an overlap that outlasts the interval": Wrong(
        {"rotation": {"interval": "12h", "overlap": "24h"}},
        ("spec.rotation.overlap: ", "write an overlap no longer than interval"),
    ),
    "a Client key for any page": Wrong(
        {"type": "Client"},
        ("a Client key is public: write restrictions.origins, or restrictions.anyOrigin: true",),
    ),
    "a Client key for all": Wrong(
        {"type": "Client", "restrictions": {"anyOrigin": True}, "scopes": ["*"]},
        ('spec.scopes: Invalid value: a Client key is public: write scopes without "*"',),
    ),
    "a reserved label": Wrong(
        {"secret": {"labels": {"argocd.argoproj.io/instance": "x"}}},
        ("spec.secret.labels: ", "are reserved: write names of your own, or app.kubernetes.io/name"),
    ),
    "an expansion that there is not": Wrong(
        {"secret": {"data": {".env": "TOKEN=$(API_TOKEN)\n"}}},
        (
            (
                "spec.secret.data: Invalid value: in the entry .env: only $(API_KEY), $(KEY_ID), $(PROJECT) "
                "and $(EXPIRES_AT) are expanded; for any other $( write $$("
            ),
        ),
    ),
    "an entry in the key's place": Wrong(
        {"secret": {"key": "token", "data": {"token": "$(API_KEY)"}}},
        ("the entry that secret.key names holds the key itself: leave it out of secret.data",),
    ),
    "a scope that is none": Wrong(
        {"scopes": ["Payments Read"]},
        (
            (
                'spec.scopes[0]: Invalid value: "Payments Read": write a scope of 1 to 4 segments such as '
                '"data:read"'
            ),
        ),
    ),
    "a network that is an address": Wrong(
        {"restrictions": {"cidrs": ["10.1.2.3"]}},
        ('spec.restrictions.cidrs[0]: Invalid value: "10.1.2.3": write a network with its prefix length',),
    ),
    "an origin with a path": Wrong(
        {"restrictions": {"origins": ["https://app.example.com/"]}},
        ("spec.restrictions.origins[0]: ", "write an origin as browsers send it, in lower case"),
    ),
    "a date without a time": Wrong(
        {"expiresAt": "2027-01-01"},
        ('spec.expiresAt: Invalid value: "2027-01-01": write a time with its zone', "2027-01-01T00:00:00Z"),
    ),
    "a type that there is not": Wrong(
        {"type": "Staging"},
        ('spec.type: Unsupported value: "Staging": supported values: "Development", "Production", "Client"',),
    ),
    "a rate of nothing": Wrong(
        {"rateLimits": [{"requests": 0, "period": "1m"}]},
        ("spec.rateLimits[0].requests: Invalid value: 0: ", "should be greater than or equal to 1"),
    ),
    "a typing error": Wrong({"expireAfter": "2160h"}, ('unknown field "spec.expireAfter"',)),
    "another Project": Wrong(
        {"projectRef": {"name": "billing"}},
        (
            "spec.projectRef: ",
            "projectRef is immutable as written: delete the ApiKey and create another one",
        ),
        before={},
    ),
    "another type": Wrong(
        {"type": "Development"},
        ("spec.type: ", "type is immutable, as it is part of the key: delete the ApiKey and create another"),
        before={"type": "Production"},
    ),
    "another Secret": Wrong(
        {"secret": {"name": "other"}},
        (
            "spec.secret.name: ",
            "secret.name is immutable (absent it is the ApiKey's name): delete the ApiKey and create another",
        ),
        before={},
    ),
    "another entry of the Secret": Wrong(
        {"secret": {"key": "token"}},
        ("spec.secret.key: ", "secret.key is immutable (absent it is apiKey)"),
        before={},
    ),
}

PROJECTS = {
    "a prefix that says a type": Wrong(
        {"keyPrefix": "acme_prod"},
        ("spec.keyPrefix: ", "no part of keyPrefix may be dev, prod or client: in a key these say its type"),
    ),
    "a selector that is not used": Wrong(
        {"allowedNamespaces": {"selector": {"matchLabels": {"team": "b"}}}},
        ("spec.allowedNamespaces: ", "a selector counts only with from: Selector"),
    ),
    "no selector": Wrong(
        {"allowedNamespaces": {"from": "Selector"}},
        ("write a selector of namespaces; for every namespace write from: All",),
    ),
    "the same scope twice": Wrong(
        {"scopes": [{"name": "data:read"}, {"name": "data:read"}]},
        ('spec.scopes[1]: Duplicate value: {"name":"data:read"}',),
    ),
    "a star in the middle of a path": Wrong(
        {"routes": [{"path": "/v1/*/refunds"}]},
        ("spec.routes[0].path: ",),
    ),
    "an interval that outlasts the default life": Wrong(
        {"defaults": {"expiresAfter": "24h", "rotation": {"interval": "48h"}}},
        ("spec.defaults.rotation.interval: ", "write a rotation.interval shorter than expiresAfter"),
    ),
}


def applied(kubectl: Kubectl, manifest: dict[str, Any]) -> str:
    """Apply a manifest that is refused, and return what the terminal shows."""
    done = kubectl.run("apply", "-f", "-", stdin=yaml.safe_dump(manifest))
    assert done.code == 1, done.output
    return " ".join(done.output.split())


@pytest.mark.parametrize("what", API_KEYS)
def test_a_wrong_api_key_is_refused_with_what_to_write(
    admin: Api, kubectl_as_admin: Kubectl, namespace: str, what: str
) -> None:
    wrong = API_KEYS[what]
    if wrong.before is not None:
        admin.create(manifests.api_key(namespace, **wrong.before))
    manifest = manifests.api_key(namespace)
    manifest["spec"].update(wrong.spec)
    output = applied(kubectl_as_admin, manifest)
    for text in wrong.told:
        assert text in output
    if wrong.before is None:
        assert admin.find("ApiKey", "checkout", namespace) is None


@pytest.mark.parametrize("what", PROJECTS)
def test_a_wrong_project_is_refused_with_what_to_write(
    admin: Api, kubectl_as_admin: Kubectl, namespace: str, what: str
) -> None:
    wrong = PROJECTS[what]
    output = applied(kubectl_as_admin, manifests.project(namespace, **wrong.spec))
    for text in wrong.told:
        assert text in output
    assert admin.find("Project", "payments", namespace) is None


def test_a_revocation_names_exactly_one_thing_for_good(kubectl_as_admin: Kubectl, namespace: str) -> None:
    revocation: dict[str, Any] = {
        "apiVersion": manifests.API_VERSION,
        "kind": "Revocation",
        "metadata": {"name": "leaked", "namespace": namespace},
        "spec": {"keyID": "7f3k2m9q0r4t6v8x", "apiKeyRef": {"name": "checkout"}},
    }
    assert "write exactly one of keyID (that key only) and apiKeyRef (every key of the ApiKey)" in applied(
        kubectl_as_admin, revocation
    )
    revocation["spec"] = {"keyID": "7f3k2m9q0r4t6v8x"}
    assert kubectl_as_admin.run("apply", "-f", "-", stdin=yaml.safe_dump(revocation)).code == 0
    revocation["spec"]["reason"] = "KeyCompromise"
    assert "immutable" in applied(kubectl_as_admin, revocation)


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        ({"expiresAt": "2001-01-01T00:00:00Z"}, "Expired", "spec.expiresAt: 2001-01-01T00:00:00Z has passed"),
        (
            {"rotation": {"schedule": "every monday"}},
            "InvalidSpec",
            'spec.rotation.schedule: "every monday": 2 ',
        ),
        (
            {"rotation": {"schedule": "0 3 * * * *"}},
            "InvalidSpec",
            'spec.rotation.schedule: "0 3 * * * *": 6 ',
        ),
        (
            {"rotation": {"schedule": "0 0 30 2 *"}},
            "InvalidSpec",
            "write five cron fields that some date matches",
        ),
        (
            {"rotation": {"schedule": "0 3 * * 1", "timeZone": "CEST"}},
            "InvalidSpec",
            'spec.rotation.timeZone: "CEST": write a name of the IANA time zone database',
        ),
        (
            {"rotation": {"schedule": "0 3 * * 1", "timeZone": "../../etc/passwd"}},
            "InvalidSpec",
            'spec.rotation.timeZone: "../../etc/passwd": write a name',
        ),
    ],
    ids=["past", "words", "six fields", "30 February", "abbreviation", "path"],
)
def test_what_only_the_operator_can_see_is_told_in_a_condition(
    admin: Api,
    operator: Operator,
    kubectl_as_admin: Kubectl,
    namespace: str,
    spec: dict[str, Any],
    reason: str,
    message: str,
) -> None:
    admin.create(manifests.project(namespace))
    manifest = yaml.safe_dump(manifests.api_key(namespace, **spec))
    assert kubectl_as_admin.run("apply", "-f", "-", stdin=manifest).code == 0
    key = until_reason(admin, reason, "checkout", namespace)
    assert message in condition(key)["message"]
    assert condition(key, "Stalled")["status"] == "True"
    assert admin.find("Secret", "checkout", namespace) is None
