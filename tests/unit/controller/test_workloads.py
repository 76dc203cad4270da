"""Reading and restarting a workload: what each answer of the API server means."""

from __future__ import annotations

import pytest

from keywright.api.workload import Workload, WorkloadKind
from keywright.controller.workloads import Workloads
from keywright.keys.actions import RestartWorkload
from keywright.keys.workload import Found, Missing, Refused, WorkloadView
from keywright.kube import paths
from keywright.kube.errors import ApiError, TransportError
from tiny_api import Object, TinyApi, refusal

NAME = "restart.keywright.dev/checkout"
WEB = Workload(kind=WorkloadKind.DEPLOYMENT, name="web")
PATH = paths.workload("shop", WEB.kind, WEB.name)


@pytest.fixture
def api() -> TinyApi:
    api = TinyApi()
    labels = {"labels": {"app": "web"}, "annotations": {"theirs": "x"}}
    metadata = {"name": "web", "namespace": "shop", "uid": "uid-web", "generation": 1}
    api.put(PATH, {"metadata": metadata, "spec": {"replicas": 0, "template": {"metadata": labels}}})
    return api


async def read(api: TinyApi) -> Found:
    return (await Workloads(api).read("shop", [WEB]))[WEB]  # type: ignore[arg-type]


async def restart(api: TinyApi, version: str | None = None) -> Found | None:
    version = version or api.objects[PATH]["metadata"]["resourceVersion"]
    action = RestartWorkload(WEB, version, NAME, "2.abc")
    return await Workloads(api).restart("shop", action)  # type: ignore[arg-type]


def template(api: TinyApi) -> Object:
    return dict(api.objects[PATH]["spec"]["template"]["metadata"])


async def test_a_restart_adds_an_annotation_to_the_pod_template_and_touches_nothing_else(
    api: TinyApi,
) -> None:
    before = template(api)

    done = await restart(api)

    assert {**before, "annotations": {"theirs": "x", NAME: "2.abc"}} == template(api)
    assert 0 == api.objects[PATH]["spec"]["replicas"]
    assert isinstance(done, WorkloadView)
    assert {NAME: "2.abc"} == done.restarts
    assert done == await read(api)


async def test_the_same_restart_again_makes_no_new_generation(api: TinyApi) -> None:
    await restart(api)
    await restart(api)

    assert 2 == api.objects[PATH]["metadata"]["generation"]


async def test_one_that_has_changed_since_it_was_read_is_to_be_read_again(api: TinyApi) -> None:
    assert await restart(api, version="1") is None
    assert 1 == api.objects[PATH]["metadata"]["generation"]


async def test_one_that_is_not_there_is_missing(api: TinyApi) -> None:
    version = api.objects.pop(PATH)["metadata"]["resourceVersion"]

    assert Missing() == await read(api)
    assert Missing() == await restart(api, version)


def refuse(api: TinyApi, status: int) -> None:
    def before(verb: str, path: str) -> None:
        raise refusal(verb, path, status)

    api.before = before


async def test_what_the_chart_does_not_grant_names_the_value_to_set(api: TinyApi) -> None:
    refuse(api, 403)

    found = await read(api)

    assert isinstance(found, Refused)
    assert "install the chart with rolloutRestart: true" in found.why


@pytest.mark.parametrize("status", [403, 422])
async def test_a_restart_that_is_refused_says_with_which_answer(api: TinyApi, status: int) -> None:
    refuse(api, status)

    found = await restart(api)

    assert isinstance(found, Refused)
    assert f"({status} Refused)" in found.why


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_what_only_waiting_can_mend_is_an_error(api: TinyApi, status: int) -> None:
    refuse(api, status)

    with pytest.raises(ApiError):
        await read(api)
    with pytest.raises(ApiError):
        await restart(api)


async def test_no_answer_is_an_error(api: TinyApi) -> None:
    def before(_verb: str, _path: str) -> None:
        raise TransportError("no answer")

    api.before = before

    with pytest.raises(TransportError):
        await restart(api)
