"""The Secret: what is written, what is left alone, what counts as drift, and what may be adopted."""

from __future__ import annotations

import base64
import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from keywright.api.apikey import ApiKey, Cause, Generation, GenerationState
from keywright.api.project import KeyType
from keywright.keys.raw import RawKey, digest_of, mint
from keywright.keys.seal import SealingKeys, seal_holds
from keywright.keys.secret import SECRET_TYPE, SecretView, adoptable, manifest

if TYPE_CHECKING:
    from collections.abc import Callable

UID = "5a1e0c3e-0000-4000-8000-000000000001"
OTHER_UID = "5a1e0c3e-0000-4000-8000-000000000002"
RAW = mint("kw", KeyType.PRODUCTION, entropy=lambda count: bytes(range(count)))
SEALING = SealingKeys("k1", {"k1": bytes(32)})
ENDS_AT = datetime(2027, 1, 1, tzinfo=UTC)


def api_key(**template: Any) -> ApiKey:
    """Return an ApiKey whose `spec.secret` has these fields, unchecked: the model may refuse some of them."""
    key = ApiKey.model_validate(
        {
            "metadata": {"name": "checkout", "namespace": "shop", "uid": UID},
            "spec": {
                "projectRef": {"name": "payments", "namespace": "platform"},
                "secret": {"name": "checkout-key"},
            },
        }
    )
    secret = key.spec.secret.model_copy(update=template)
    return key.model_copy(update={"spec": key.spec.model_copy(update={"secret": secret})})


def generation(raw: RawKey = RAW, *, expires_at: str | None = "2027-02-21T04:44:00Z") -> Generation:
    return Generation.model_validate(
        {
            "id": raw.id,
            "revision": 3,
            "digest": raw.digest,
            "hint": raw.hint,
            "state": "Active",
            "cause": "First",
            "createdAt": "2026-11-23T04:44:00Z",
            "expiresAt": expires_at,
        }
    )


def desired(
    key: ApiKey | None = None,
    gen: Generation | None = None,
    raw: RawKey = RAW,
    *,
    sealing: SealingKeys = SEALING,
    live: dict[str, Any] | None = None,
    ends_at: datetime | None = ENDS_AT,
) -> dict[str, Any]:
    return manifest(
        key or api_key(),
        gen or generation(raw),
        raw,
        ends_at=ends_at,
        revision=3,
        sealing=sealing,
        live=SecretView.of(live) if live else None,
    )


def is_drifted(live: dict[str, Any], key: ApiKey | None = None, *, sealing: SealingKeys = SEALING) -> bool:
    view = SecretView.of(live)
    return (
        SecretView.of(
            manifest(
                key or api_key(),
                generation(),
                RAW,
                ends_at=ENDS_AT,
                revision=3,
                sealing=sealing,
                live=view,
            )
        )
        != view
    )


def stored(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return what the API server would return after that write."""
    obj = json.loads(json.dumps(manifest))
    metadata = obj["metadata"]
    if not metadata["finalizers"]:
        del metadata["finalizers"]
    metadata |= {"uid": "secret-uid", "resourceVersion": "17", "creationTimestamp": "2026-11-23T04:44:01Z"}
    assert isinstance(obj, dict)
    return obj


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def text_of(manifest: dict[str, Any], entry: str) -> str:
    return base64.b64decode(manifest["data"][entry]).decode()


class TestManifest:
    def test_it_is_the_secret_of_the_contract(self) -> None:
        obj = desired(
            api_key(data={".env": "KEY=$(API_KEY)\n"}, labels={"team": "a"}, annotations={"note": "x"})
        )
        annotations = obj["metadata"].pop("annotations")
        seal = annotations.pop("keywright.dev/seal")
        assert obj == {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "keywright.dev/api-key",
            "metadata": {
                "name": "checkout-key",
                "namespace": "shop",
                "finalizers": [],
                "labels": {
                    "app.kubernetes.io/managed-by": "keywright",
                    "keywright.dev/api-key": "checkout",
                    "keywright.dev/api-key-uid": UID,
                    "keywright.dev/project": "payments",
                    "keywright.dev/project-namespace": "platform",
                    "keywright.dev/key-id": RAW.id,
                    "team": "a",
                },
                "ownerReferences": [
                    {
                        "apiVersion": "keywright.dev/v1alpha1",
                        "kind": "ApiKey",
                        "name": "checkout",
                        "uid": UID,
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "data": {"apiKey": b64(RAW.value), ".env": b64(f"KEY={RAW.value}\n")},
        }
        assert annotations == {
            "keywright.dev/revision": "3",
            "keywright.dev/created-at": "2026-11-23T04:44:00Z",
            "keywright.dev/expires-at": "2027-02-21T04:44:00Z",
            "keywright.dev/entries": '{"data":[".env","apiKey"],"labels":["team"],"annotations":["note"]}',
            "note": "x",
        }
        assert seal_holds(
            SEALING,
            seal,
            namespace="shop",
            api_key="checkout",
            secret_name="checkout-key",
            key_id=RAW.id,
            digest=RAW.digest,
            created_at="2026-11-23T04:44:00Z",
            expires_at="2027-02-21T04:44:00Z",
            revision=3,
        )

    def test_a_generation_without_expiry_has_no_expires_at_and_an_empty_one_in_the_seal(self) -> None:
        annotations = desired(gen=generation(expires_at=None))["metadata"]["annotations"]
        assert "keywright.dev/expires-at" not in annotations
        assert seal_holds(
            SEALING,
            annotations["keywright.dev/seal"],
            namespace="shop",
            api_key="checkout",
            secret_name="checkout-key",
            key_id=RAW.id,
            digest=RAW.digest,
            created_at="2026-11-23T04:44:00Z",
            expires_at="",
            revision=3,
        )

    def test_names_fall_back_to_those_of_the_api_key(self) -> None:
        key = ApiKey.model_validate(
            {
                "metadata": {"name": "checkout", "namespace": "shop", "uid": UID},
                "spec": {"projectRef": {"name": "payments"}},
            }
        )
        obj = desired(key)
        assert obj["metadata"]["name"] == "checkout"
        assert obj["metadata"]["labels"]["keywright.dev/project-namespace"] == "shop"
        assert text_of(obj, "apiKey") == RAW.value

    def test_the_users_labels_annotations_and_data_never_override_ours(self) -> None:
        key = api_key(
            key="token",
            labels={"app.kubernetes.io/managed-by": "helm", "keywright.dev/key-id": "x"},
            annotations={"keywright.dev/revision": "9", "keywright.dev/seal": "v1:forged"},
            data={"token": "mine"},
        )
        obj = desired(key)
        ours = desired(api_key(key="token"))
        assert obj["data"] == ours["data"]
        assert obj["metadata"]["labels"] == ours["metadata"]["labels"]
        for name in ("keywright.dev/revision", "keywright.dev/seal"):
            assert obj["metadata"]["annotations"][name] == ours["metadata"]["annotations"][name]

    def test_the_order_of_the_spec_does_not_matter(self) -> None:
        one = desired(api_key(data={"a": "1", "b": "2"}, labels={"x": "1", "y": "2"}))
        other = desired(api_key(data={"b": "2", "a": "1"}, labels={"y": "2", "x": "1"}))
        assert one == other

    def test_a_value_that_the_status_does_not_know_is_never_written(self) -> None:
        with pytest.raises(ValueError, match="generation") as refusal:
            desired(gen=generation(), raw=mint("kw", KeyType.PRODUCTION))
        assert RAW.value not in str(refusal.value)

    def test_somebody_elses_secret_is_never_written(self) -> None:
        live = stored(desired())
        live["metadata"]["ownerReferences"][0]["uid"] = OTHER_UID
        with pytest.raises(ValueError, match="not owned"):
            desired(live=live)


class TestExpansion:
    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            ("", ""),
            ("plain $ text $", "plain $ text $"),
            ("$(API_KEY)", RAW.value),
            ("$(KEY_ID)/$(PROJECT)", f"{RAW.id}/payments"),
            ("until $(EXPIRES_AT)", "until 2027-01-01T00:00:00Z"),
            ("$$(API_KEY)", "$(API_KEY)"),
            ("$$$(API_KEY)", "$$(API_KEY)"),
            ("$$$$(API_KEY)", "$$$(API_KEY)"),
            ("$$(API_KEY)$(KEY_ID)", f"$(API_KEY){RAW.id}"),
            ("$$ $(KEY_ID)", f"$$ {RAW.id}"),
            ("$$(", "$("),
            ("$(", "$("),
            ("$(OTHER) $(api_key) $(API_KEY", "$(OTHER) $(api_key) $(API_KEY"),
            ("$($(KEY_ID))", f"$({RAW.id})"),
            ("${API_KEY} $API_KEY", "${API_KEY} $API_KEY"),
            ("Schlüssel: $(KEY_ID)", f"Schlüssel: {RAW.id}"),
        ],
    )
    def test_only_the_four_variables_are_expanded(self, template: str, expected: str) -> None:
        assert text_of(desired(api_key(data={"x": template})), "x") == expected

    def test_a_key_that_does_not_end_has_an_empty_expires_at(self) -> None:
        assert text_of(desired(api_key(data={"x": "<$(EXPIRES_AT)>"}), ends_at=None), "x") == "<>"

    def test_the_end_is_rounded_up_as_in_status(self) -> None:
        ends_at = ENDS_AT.replace(microsecond=1)
        obj = desired(api_key(data={"x": "$(EXPIRES_AT)"}), ends_at=ends_at)
        assert text_of(obj, "x") == "2027-01-01T00:00:01Z"


RICH: dict[str, Any] = {
    "data": {".env": "KEY=$(API_KEY)\n", "until": "$(EXPIRES_AT)"},
    "labels": {"team": "a"},
    "annotations": {"note": "x"},
}


def rich() -> dict[str, Any]:
    """Return a live Secret as it should be, with entries of others on it."""
    live = stored(desired(api_key(**RICH)))
    live["metadata"]["labels"]["theirs"] = "1"
    live["metadata"]["annotations"]["theirs"] = "2"
    live["metadata"]["finalizers"] = ["example.com/backup"]
    live["metadata"]["ownerReferences"].append(
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": OTHER_UID}
    )
    live["data"]["theirs"] = b64("3")
    return live


def edit(path: str, value: object = None) -> Callable[[dict[str, Any]], None]:
    """Return an edit by hand: set, or with None remove, what stands at `a b c`."""

    def apply(obj: dict[str, Any]) -> None:
        *parents, last = path.split()
        for parent in parents:
            obj = obj[parent]
        if value is None:
            del obj[last]
        else:
            obj[last] = value

    return apply


class TestDrift:
    def test_a_secret_as_it_should_be_has_not_drifted(self) -> None:
        assert not is_drifted(stored(desired()))
        assert not is_drifted(rich(), api_key(**RICH))

    def test_over_such_a_secret_the_manifest_is_the_live_one(self) -> None:
        live = rich()
        wanted = desired(api_key(**RICH), live=live)
        del live["metadata"]["creationTimestamp"]
        assert wanted == live

    @pytest.mark.parametrize(
        "change",
        [
            edit("metadata labels team", "b"),
            edit("metadata labels team"),
            edit("metadata labels keywright.dev/key-id", "x"),
            edit("metadata labels keywright.dev/api-key-uid", OTHER_UID),
            edit("metadata labels app.kubernetes.io/managed-by"),
            edit("metadata labels", {}),
            edit("metadata annotations note", "y"),
            edit("metadata annotations note"),
            edit("metadata annotations keywright.dev/revision", "4"),
            edit("metadata annotations keywright.dev/created-at"),
            edit("metadata annotations keywright.dev/expires-at", "2099-01-01T00:00:00Z"),
            edit("metadata annotations keywright.dev/seal", "v1:k1:forged"),
            edit("metadata annotations keywright.dev/seal"),
            edit("metadata annotations keywright.dev/entries"),
            edit("metadata annotations keywright.dev/entries", "{"),
            edit("metadata ownerReferences"),
            edit("data .env", b64("KEY=other\n")),
            edit("data .env"),
            edit("data until"),
            edit("data apiKey"),
        ],
    )
    def test_an_edit_of_what_is_ours_is_drift_and_repaired_in_one_write(
        self, change: Callable[[dict[str, Any]], None]
    ) -> None:
        live = rich()
        good = desired(api_key(**RICH), live=live)
        change(live)
        assert is_drifted(live, api_key(**RICH))
        repaired = desired(api_key(**RICH), live=live)
        for section in ("labels", "annotations"):
            ours = {k: v for k, v in good["metadata"][section].items() if k != "theirs"}
            assert ours.items() <= repaired["metadata"][section].items()
        assert repaired["data"] == good["data"]
        assert good["metadata"]["ownerReferences"][0] in repaired["metadata"]["ownerReferences"]
        assert not is_drifted(stored(repaired), api_key(**RICH))

    @pytest.mark.parametrize(
        "change",
        [
            edit("metadata labels theirs", "9"),
            edit("metadata annotations theirs"),
            edit("metadata annotations kubectl.kubernetes.io/last-applied-configuration", "{}"),
            edit("metadata finalizers"),
            edit("metadata managedFields", [{}]),
            edit("data theirs", "AAAA"),
            edit("data theirs"),
        ],
    )
    def test_an_edit_of_what_is_not_ours_is_no_drift(self, change: Callable[[dict[str, Any]], None]) -> None:
        live = rich()
        change(live)
        assert not is_drifted(live, api_key(**RICH))

    def test_what_left_the_spec_goes_and_what_others_added_stays(self) -> None:
        live = rich()
        assert is_drifted(live, api_key())
        obj = desired(api_key(), live=live)
        assert obj["data"] == {"apiKey": b64(RAW.value), "theirs": b64("3")}
        assert "team" not in obj["metadata"]["labels"]
        assert obj["metadata"]["labels"]["theirs"] == "1"
        assert "note" not in obj["metadata"]["annotations"]
        assert obj["metadata"]["annotations"]["theirs"] == "2"
        assert obj["metadata"]["finalizers"] == ["example.com/backup"]
        assert len(obj["metadata"]["ownerReferences"]) == 2
        assert not is_drifted(stored(obj), api_key())

    @pytest.mark.parametrize(
        "entries",
        [
            "",
            "null",
            "[]",
            "{",
            '{"data":3}',
            '{"data":["theirs",1]}',
            '{"data":"theirs"}',
            "[" * 100_000,
            "\ud800",
        ],
    )
    def test_a_list_of_entries_edited_out_of_form_removes_nothing(self, entries: str) -> None:
        live = rich()
        live["metadata"]["annotations"]["keywright.dev/entries"] = entries
        obj = desired(api_key(), live=live)
        assert set(obj["data"]) == {"apiKey", "theirs", ".env", "until"}
        assert obj["metadata"]["labels"]["team"] == "a"
        assert obj["metadata"]["annotations"]["note"] == "x"
        assert '"data":["apiKey"]' in obj["metadata"]["annotations"]["keywright.dev/entries"]

    def test_a_new_generation_goes_over_the_live_one_with_its_precondition(self) -> None:
        live = rich()
        raw = mint("kw", KeyType.PRODUCTION)
        obj = desired(api_key(**RICH), generation(raw, expires_at=None), raw, live=live)
        assert obj["metadata"]["uid"] == "secret-uid"
        assert obj["metadata"]["resourceVersion"] == "17"
        assert text_of(obj, "apiKey") == raw.value
        assert text_of(obj, ".env") == f"KEY={raw.value}\n"
        assert "keywright.dev/expires-at" not in obj["metadata"]["annotations"]
        assert RAW.value not in str({name: text_of(obj, name) for name in obj["data"]})

    def test_an_owner_reference_of_ours_that_lost_its_force_is_replaced(self) -> None:
        live = rich()
        del live["metadata"]["ownerReferences"][0]["controller"]
        obj = desired(api_key(**RICH), live=live)
        assert [ref["uid"] for ref in obj["metadata"]["ownerReferences"]] == [OTHER_UID, UID]
        assert obj["metadata"]["ownerReferences"][1]["controller"] is True

    def test_a_new_sealing_key_rewrites_nothing_until_the_old_one_is_gone(self) -> None:
        live = stored(desired())
        both = SealingKeys("k2", {"k1": bytes(32), "k2": b"2" * 32})
        assert not is_drifted(live, sealing=both)
        assert is_drifted(live, sealing=SealingKeys("k2", {"k2": b"2" * 32}))

    def test_making_a_manifest_leaves_the_live_object_alone(self) -> None:
        live = rich()
        before = deepcopy(live)
        desired(api_key(), live=live)["metadata"]["labels"]["x"] = "y"
        assert live == before


class TestView:
    @pytest.mark.parametrize(
        ("owners", "label", "owned"),
        [
            ([{"uid": UID, "controller": True}], UID, True),
            ([{"uid": UID, "controller": True}], OTHER_UID, True),
            ([{"uid": OTHER_UID, "controller": True}], UID, False),
            ([{"uid": OTHER_UID}], UID, True),
            ([{"uid": UID}], None, False),
            ([{"uid": UID, "controller": False}], OTHER_UID, False),
            ([], UID, True),
            ([], OTHER_UID, False),
            ([], None, False),
            (None, UID, True),
        ],
    )
    def test_the_controller_decides_whose_it_is_and_without_one_the_label(
        self, owners: list[dict[str, Any]] | None, label: str | None, owned: object
    ) -> None:
        labels = {"keywright.dev/api-key-uid": label} if label else {}
        obj = {"metadata": {"name": "s", "namespace": "n", "labels": labels, "ownerReferences": owners}}
        assert SecretView.of(obj).owned_by(UID) is owned

    def test_nobody_owns_by_an_empty_uid(self) -> None:
        obj = {"metadata": {"name": "s", "namespace": "n", "labels": {"keywright.dev/api-key-uid": ""}}}
        assert not SecretView.of(obj).owned_by("")

    @pytest.mark.parametrize(
        ("data", "value", "digest"),
        [
            ({}, None, None),
            ({"apiKey": ""}, None, None),
            ({"apiKey": b64("abc")}, "abc", digest_of("abc")),
            ({"apiKey": b64("é")}, None, digest_of("é")),
            ({"apiKey": base64.b64encode(b"\xff").decode()}, None, digest_of(b"\xff")),
            ({"apiKey": "no base64!"}, None, None),
            ({"apiKey": "é"}, None, None),
        ],
    )
    def test_an_entry_has_a_value_if_it_is_ascii_and_a_digest_if_it_is_anything(
        self, data: dict[str, str], value: str | None, digest: str | None
    ) -> None:
        view = SecretView.of({"metadata": {"name": "s", "namespace": "n"}, "data": data})
        assert view.value("apiKey") == value
        assert view.digest("apiKey") == digest
        assert view.raw_key("apiKey") is None

    def test_a_live_secret_gives_back_the_key_that_was_written(self) -> None:
        view = SecretView.of(stored(desired()))
        assert view.value("apiKey") == RAW.value
        assert view.raw_key("apiKey") == RAW
        assert view.digest("apiKey") == RAW.digest

    @pytest.mark.parametrize(
        ("kind", "immutable", "replaceable"),
        [
            (SECRET_TYPE, None, True),
            (SECRET_TYPE, False, True),
            (SECRET_TYPE, True, False),
            ("Opaque", None, False),
        ],
    )
    def test_another_type_or_immutability_cannot_be_brought_in_place(
        self, kind: str, immutable: object, replaceable: object
    ) -> None:
        live = {**stored(desired()), "type": kind, "immutable": immutable}
        assert SecretView.of(live).replaceable is replaceable
        assert is_drifted(live) is not replaceable

    def test_it_never_shows_data(self) -> None:
        live = stored(desired(api_key(data={"x": "hello"})))
        live["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = json.dumps(
            live["data"]
        )
        view = SecretView.of(live)
        for shown in (repr(view), str(view), f"{view}"):
            assert b64(RAW.value) not in shown
            assert RAW.value not in shown
            assert b64("hello") not in shown
            assert "checkout-key" in shown


class TestAdoption:
    @pytest.mark.parametrize("expires_at", ["2027-02-21T04:44:00Z", None])
    def test_a_secret_that_the_operator_wrote_is_adopted_with_its_times(self, expires_at: str | None) -> None:
        live = stored(desired(gen=generation(expires_at=expires_at)))
        adopted = adoptable(SecretView.of(live), api_key(), SEALING)
        expected = generation(expires_at=expires_at)
        assert adopted == expected.model_copy(
            update={"state": GenerationState.ACTIVE, "cause": Cause.ADOPTED}
        )

    def test_edits_beside_the_facts_do_not_matter(self) -> None:
        live = rich()
        live["metadata"]["labels"]["team"] = "b"
        live["data"]["until"] = b64("never")
        assert adoptable(SecretView.of(live), api_key(), SEALING) is not None

    def test_a_stamp_with_its_seal_under_an_older_key_is_adopted(self) -> None:
        both = SealingKeys("k2", {"k1": bytes(32), "k2": b"2" * 32})
        assert adoptable(SecretView.of(stored(desired())), api_key(), both) is not None

    @pytest.mark.parametrize(
        "change",
        [
            edit("type", "Opaque"),
            edit("immutable", value=True),
            edit("metadata name", "other"),
            edit("metadata namespace", "other"),
            edit("metadata labels keywright.dev/key-id", "a" * 16),
            edit("metadata labels keywright.dev/key-id"),
            edit("metadata ownerReferences", [{"uid": OTHER_UID, "controller": True}]),
            edit("metadata annotations keywright.dev/created-at", "2026-11-23T04:44:01Z"),
            edit("metadata annotations keywright.dev/created-at"),
            edit("metadata annotations keywright.dev/expires-at", "2099-01-01T00:00:00Z"),
            edit("metadata annotations keywright.dev/expires-at"),
            edit("metadata annotations keywright.dev/revision", "4"),
            edit("metadata annotations keywright.dev/revision", "three"),
            edit("metadata annotations keywright.dev/revision", "9" * 5000),
            edit("metadata annotations keywright.dev/revision"),
            edit("metadata annotations keywright.dev/seal", "v1:k1:" + "A" * 43),
            edit("metadata annotations keywright.dev/seal"),
            edit("data apiKey", b64(mint("kw", KeyType.PRODUCTION).value)),
            edit("data apiKey", b64(RAW.value + "\n")),
            edit("data apiKey"),
        ],
    )
    def test_any_other_fact_is_not_adopted(self, change: Callable[[dict[str, Any]], None]) -> None:
        live = stored(desired())
        change(live)
        assert adoptable(SecretView.of(live), api_key(), SEALING) is None

    def test_a_made_up_value_with_the_label_to_match_is_not_adopted(self) -> None:
        forged = mint("kw", KeyType.PRODUCTION)
        live = stored(desired(raw=forged, sealing=SealingKeys("k1", {"k1": b"x" * 32})))
        assert adoptable(SecretView.of(live), api_key(), SEALING) is None

    def test_a_secret_of_another_api_key_of_that_uid_is_not_adopted(self) -> None:
        key = api_key().model_copy(
            update={"metadata": api_key().metadata.model_copy(update={"name": "renamed"})}
        )
        assert adoptable(SecretView.of(stored(desired())), key, SEALING) is None
