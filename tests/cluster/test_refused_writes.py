"""The API server refuses the Secret: its reason is shown, never the value, and all else goes on."""

from __future__ import annotations

import base64
import json
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from harness.api import RefusedError
from harness.leaks import found
from harness.team import condition, digest_of, generations, ready
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.api import Api, Object
    from harness.operator import Operator
    from harness.team import Team

    Refuse = Callable[..., None]

pytestmark = pytest.mark.usefixtures("operator")

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
QUOTES = "its message quotes the value and is not shown"
ENV = {".env": "PAYMENTS_API_KEY=$(API_KEY)\n"}
BY_HAND = {"policy": "Never", "overlap": "1h"}
AT_ONCE = 8.0
"""Sooner than the wait for another try of a spec that was refused twice, which is 10 s."""


@pytest.fixture
def refuse(admin: Api, team: Team) -> Iterator[Refuse]:
    """Have an admission policy refuse the Secrets of the team that `holds` is false of."""
    made: list[str] = []

    def start(probe: Object, *, holds: str, reason: str = "Invalid", **message: str) -> None:
        name = f"{team.namespace}-{len(made)}"
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"]}
        rules = [{**rule, "operations": ["CREATE", "UPDATE"]}]
        validation = {"expression": holds, "reason": reason, **message}
        spec = {"matchConstraints": {"resourceRules": rules}, "validations": [validation]}
        team_only = {"matchLabels": {"kubernetes.io/metadata.name": team.namespace}}
        binding = {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": team_only},
        }
        made.append(name)
        admin.request("POST", POLICIES, _admission("ValidatingAdmissionPolicy", name, spec))
        admin.request("POST", BINDINGS, _admission("ValidatingAdmissionPolicyBinding", name, binding))
        until(partial(_refused, team, probe), bool, what="the policy is in force")

    yield start
    for name in made:
        admin.request("DELETE", f"{BINDINGS}/{name}")
        admin.request("DELETE", f"{POLICIES}/{name}")


@pytest.mark.parametrize(
    "quotation",
    ["object.data['.env']", "object.data['.env'].substring(60, 84)", "string(object.data['apiKey'])"],
    ids=["whole", "part", "value"],
)
def test_a_policy_that_quotes_the_value_is_named_and_its_message_not_shown(
    operator: Operator, team: Team, refuse: Refuse, quotation: str
) -> None:
    text = base64.b64encode(b"PAYMENTS_API_KEY=" + b"planted-" * 9).decode()
    probe = _secret(team, data={".env": text, "apiKey": text})
    refuse(probe, holds="!('.env' in object.data)", messageExpression=f"'no, not ' + {quotation}")
    quoted = _refused(team, probe)
    assert text[62:80] in quoted, "the policy does quote what is written"

    team.create(secret={"data": ENV})
    key = team.until(lambda key: "refuses the Secret" in condition(key, "Ready").get("message", ""))
    assert ready(key) == "Minting"
    message = condition(key, "Ready")["message"]
    assert message.endswith(QUOTES)
    assert "checkout" in message
    events = team.api.list("Event", team.namespace)
    for told in (key, events, operator.lines()):
        _tells_of_no_value(json.dumps(told))


def test_no_part_of_a_value_that_is_in_use_is_told_either(team: Team, refuse: Refuse, leaks: Any) -> None:
    team.minted(rotation=BY_HAND)
    value = team.value()
    probe = _secret(team, data={".env": base64.b64encode(b"planted-" * 9).decode()})
    refuse(probe, holds="!('.env' in object.data)", messageExpression="'no, not ' + object.data['.env']")
    team.edit(secret={"data": ENV})
    team.annotate({"keywright.dev/rotate": "now"})
    key = team.until(lambda key: key["status"]["observedGeneration"] == key["metadata"]["generation"])
    time.sleep(1)  # it must not come later either
    for told in (key, team.get(), team.api.list("Event", team.namespace)):
        assert set() == found({value} | leaks.values, json.dumps(told))
        _tells_of_no_value(json.dumps(told))
    assert team.value() == value


@pytest.mark.parametrize("reason", ["Invalid", "Forbidden"])
def test_a_refused_repair_does_not_stop_reporting(
    operator: Operator, team: Team, refuse: Refuse, reason: str
) -> None:
    before = team.minted(rotation=BY_HAND)
    value = team.value()
    probe = _secret(team, labels={"tier": "gold"})
    holds = "!has(object.metadata.labels) || !('tier' in object.metadata.labels)"
    refuse(probe, holds=holds, reason=reason, message="no tiers here")

    begun = len(_refusals(operator))
    edited = team.edit(secret={"labels": {"tier": "gold"}})["metadata"]["generation"]
    key = team.until(lambda key: key["status"]["observedGeneration"] == edited)
    assert condition(key, "Ready")["observedGeneration"] == edited
    until(lambda: len(_refusals(operator)) - begun, lambda count: count >= 2, what="it was refused")

    suspended = team.edit(suspend=True)["metadata"]["generation"]
    key = team.until_ready(reason="Suspended", seconds=AT_ONCE)
    assert key["status"]["observedGeneration"] == suspended
    assert "tier" not in team.secret()["metadata"]["labels"]
    resumed = team.edit(suspend=False)["metadata"]["generation"]
    key = team.until_ready(seconds=AT_ONCE)
    assert key["status"]["observedGeneration"] == resumed

    # Two refusals of this very spec make the wait one of 10 s at least, which the edit must not wait out.
    begun = len(_refusals(operator))
    until(lambda: len(_refusals(operator)) - begun, lambda count: count >= 2, what="it is refused again")
    team.edit(secret={"labels": {"tier": None, "level": "one"}})
    secret = team.until_secret(lambda secret: "level" in secret["metadata"]["labels"], seconds=AT_ONCE)
    assert "tier" not in secret["metadata"]["labels"]
    key = team.until_ready()
    assert team.value() == value
    assert (key["status"]["revision"], key["status"]["currentKeyID"]) == (1, before["status"]["currentKeyID"])


def test_a_spec_edit_ends_the_wait_after_a_quota_and_the_message_is_the_api_servers(
    admin: Api, operator: Operator, team: Team
) -> None:
    quota = {"name": "none", "namespace": team.namespace}
    spec = {"hard": {"count/secrets": "0"}}
    admin.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": quota, "spec": spec})
    probe = _secret(team)
    refused = until(partial(_refused, team, probe), lambda text: "used" in text, what="the quota counts")
    begun = len(_refusals(operator))
    team.create()
    key = team.until(lambda key: "exceeded quota" in condition(key, "Ready").get("message", ""))
    message = condition(key, "Ready")["message"]
    assert message == f"The API server refuses the Secret checkout: {refused.replace('probe', 'checkout')}"
    assert (ready(key), generations(key)) == ("Minting", [])
    # The next try after the third refusal is 20 s away.
    until(lambda: len(_refusals(operator)) - begun, lambda count: count >= 3, what="it was tried again")
    admin.delete("ResourceQuota", "none", team.namespace)
    until(partial(_refused, team, probe), lambda text: not text, what="the quota is gone")
    assert ready(team.get()) == "Minting"

    team.edit(displayName="try again")
    key = team.until_ready(seconds=AT_ONCE)
    assert key["status"]["revision"] == 1
    assert [digest_of(team.value())] == [one["digest"] for one in generations(key, "Active")]


def _admission(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name}
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _secret(team: Team, *, data: dict[str, str] | None = None, **metadata: Any) -> Object:
    named = {"name": "probe", "namespace": team.namespace, **metadata}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": named, "data": data or {}}


def _refused(team: Team, secret: Object) -> str:
    """Return why the API server would refuse a Secret; empty if it would take it."""
    try:
        team.api.create(secret, dryRun="All")
    except RefusedError as error:
        return error.message
    return ""


def _refusals(operator: Operator) -> list[Object]:
    return [line for line in operator.lines() if line.get("event") == "the Secret was refused"]


def _tells_of_no_value(text: str) -> None:
    """Of a value that was never revealed nobody knows more than its form."""
    assert not re.search(r"_[a-z0-9]{16}_[0-9A-Za-z]{12}", text)
    assert "no, not" not in text, "what quotes it is the policy's message"
    assert base64.b64encode(b"PAYMENTS_API_KEY").decode()[:20] not in text
