"""The Secret of an ApiKey: what the live one says, and what it should be.

`manifest` is the whole object, for a create (nothing live) or for a PUT over the live one; of what others
put there it takes along data entries, labels, annotations, finalizers and owner references. Over a live
Secret that is as it should be it returns just that, so drift is plain inequality, and
repairing twice is repairing once.

What is ours is written on the Secret itself (`keywright.dev/entries`): a name that left the spec can go,
one that somebody else added stays.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from keywright.api.apikey import Cause, Generation, GenerationState
from keywright.api.meta import API_VERSION, GROUP, Model, format_time, round_up
from keywright.keys.raw import MalformedKey, RawKey, digest_of, parse
from keywright.keys.seal import Facts, seal, seal_holds

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from datetime import datetime

    from keywright.api.apikey import ApiKey
    from keywright.keys.seal import SealingKeys

SECRET_TYPE = f"{GROUP}/api-key"

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
API_KEY_LABEL = f"{GROUP}/api-key"
API_KEY_UID_LABEL = f"{GROUP}/api-key-uid"
PROJECT_LABEL = f"{GROUP}/project"
PROJECT_NAMESPACE_LABEL = f"{GROUP}/project-namespace"
KEY_ID_LABEL = f"{GROUP}/key-id"

REVISION_ANNOTATION = f"{GROUP}/revision"
CREATED_AT_ANNOTATION = f"{GROUP}/created-at"
EXPIRES_AT_ANNOTATION = f"{GROUP}/expires-at"
ENTRIES_ANNOTATION = f"{GROUP}/entries"
SEAL_ANNOTATION = f"{GROUP}/seal"
_OWN_ANNOTATIONS = (
    REVISION_ANNOTATION,
    CREATED_AT_ANNOTATION,
    EXPIRES_AT_ANNOTATION,
    ENTRIES_ANNOTATION,
    SEAL_ANNOTATION,
)

_VARIABLE = re.compile(r"\$\$\(|\$\((API_KEY|KEY_ID|PROJECT|EXPIRES_AT)\)")


@dataclass(frozen=True)
class SecretView:
    """A live Secret, as far as Keywright reads it.

    Its repr leaves out `data`, and the annotations too: `kubectl apply` copies data into one.
    """

    name: str
    namespace: str
    uid: str
    resource_version: str
    type: str
    immutable: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(repr=False)
    finalizers: tuple[str, ...]
    owner_references: tuple[Mapping[str, Any], ...]
    data: Mapping[str, str] = field(repr=False)  # base64, as the API server has it

    @classmethod
    def of(cls, obj: Mapping[str, Any]) -> SecretView:
        """Read a Secret (or its metadata alone) as the API server returns it; absent fields are empty."""
        metadata = obj["metadata"]
        return cls(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata.get("uid") or "",
            resource_version=metadata.get("resourceVersion") or "",
            type=obj.get("type") or "",
            immutable=bool(obj.get("immutable")),
            labels=metadata.get("labels") or {},
            annotations=metadata.get("annotations") or {},
            finalizers=tuple(metadata.get("finalizers") or ()),
            owner_references=tuple(metadata.get("ownerReferences") or ()),
            data=obj.get("data") or {},
        )

    @property
    def replaceable(self) -> bool:
        """Whether a PUT can bring it in place: the API server changes no type and nothing immutable."""
        return self.type == SECRET_TYPE and not self.immutable

    def owned_by(self, uid: str) -> bool:
        """Whether it belongs to the ApiKey of this UID: the controller decides, without one the label."""
        controllers = [ref["uid"] for ref in self.owner_references if ref.get("controller")]
        return bool(uid) and uid in (controllers or [self.labels.get(API_KEY_UID_LABEL)])

    @property
    def api_key_name(self) -> str | None:
        """The name of the ApiKey that controls it; None where it is nobody's, or another kind's."""
        owners = (ref for ref in self.owner_references if ref.get("controller") and ref["kind"] == "ApiKey")
        return next((str(ref["name"]) for ref in owners), None)

    def value(self, key: str) -> str | None:
        """Return the text of a data entry; None if it is absent, empty or not ASCII."""
        content = self._content(key)
        return content.decode() if content and content.isascii() else None

    def raw_key(self, key: str) -> RawKey | None:
        """Return the raw key in a data entry; None if there is none or it is malformed."""
        try:
            return parse(self.value(key) or "")
        except MalformedKey:
            return None

    def digest(self, key: str) -> str | None:
        """Return the digest (`digest_of`) of whatever a data entry holds; None if it is absent or empty."""
        content = self._content(key)
        return digest_of(content) if content else None

    def _content(self, key: str) -> bytes:
        try:
            return base64.b64decode(self.data.get(key, ""), validate=True)
        except ValueError:  # the API server stores base64 only; a broken copy of one is a lost value
            return b""


def manifest(
    api_key: ApiKey,
    generation: Generation,
    raw: RawKey,
    *,
    ends_at: datetime | None,
    revision: int,
    sealing: SealingKeys,
    live: SecretView | None,
) -> dict[str, Any]:
    """Return the whole Secret that should be there, ready for a create or, over `live`, for a PUT.

    `ends_at` is what $(EXPIRES_AT) says: when the generation really ends, while the annotation and the seal
    have its own stamp. A live seal that still holds is kept, so a new sealing key rewrites nothing.

    Raises ValueError if `raw` is not the value of `generation`, or `live` not this ApiKey's: a key that the
    verifier does not know and somebody else's Secret must never be written.
    """
    if (raw.id, raw.digest) != (generation.id, generation.digest):
        raise ValueError("the raw key is not that of the generation")
    if live is not None and not live.owned_by(api_key.metadata.uid):
        raise ValueError("the live Secret is not owned by the ApiKey")

    template = api_key.spec.secret
    labels = template.labels or {}
    annotations = template.annotations or {}
    data = _expanded(template.data or {}, api_key, raw, ends_at) | {template.key: raw.value}
    entries = _Entries(data=sorted(data), labels=sorted(labels), annotations=sorted(annotations))

    identity = {"name": api_key.secret_name, "namespace": api_key.metadata.namespace}
    present = live or SecretView.of({"metadata": identity})
    listed = _Entries.on(present)
    own = _annotations(generation, revision) | {ENTRIES_ANNOTATION: entries.model_dump_json()}
    own[SEAL_ANNOTATION] = _seal(sealing, _facts(api_key, raw, own), present)
    precondition = {"uid": live.uid, "resourceVersion": live.resource_version} if live else {}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            **identity,
            **precondition,
            "labels": _over(present.labels, listed.labels, labels | _labels(api_key, raw)),
            "annotations": _over(
                present.annotations, (*listed.annotations, *_OWN_ANNOTATIONS), annotations | own
            ),
            "finalizers": list(present.finalizers),
            "ownerReferences": _owner_references(api_key, present),
        },
        "type": SECRET_TYPE,
        "data": _over(present.data, listed.data, {name: _base64(text) for name, text in data.items()}),
    }


def adoptable(view: SecretView, api_key: ApiKey, sealing: SealingKeys) -> Generation | None:
    """Return the generation that a live Secret carries, if the operator once wrote it for this very ApiKey.

    The seal decides; it must hold for the ApiKey, the value and the times that the Secret shows. None
    otherwise, and for a Secret that cannot be kept (`replaceable`). Whether the generation is revoked,
    expired or known elsewhere is for the caller to judge; so is its state, given as Active.
    """
    if not (view.owned_by(api_key.metadata.uid) and view.replaceable):
        return None
    if (view.namespace, view.name) != (api_key.metadata.namespace, api_key.secret_name):
        return None
    raw = view.raw_key(api_key.spec.secret.key)
    if raw is None or view.labels.get(KEY_ID_LABEL) != raw.id:
        return None
    try:
        facts = _facts(api_key, raw, view.annotations)
    except (KeyError, ValueError):
        return None
    if not seal_holds(sealing, view.annotations.get(SEAL_ANNOTATION, ""), **facts):
        return None
    return Generation.model_validate(
        {
            "id": raw.id,
            "revision": facts["revision"],
            "digest": raw.digest,
            "hint": raw.hint,
            "state": GenerationState.ACTIVE,
            "cause": Cause.ADOPTED,
            "createdAt": facts["created_at"],
            "expiresAt": facts["expires_at"] or None,
        }
    )


class _Entries(Model):
    """What the annotation `keywright.dev/entries` lists: names in the spec, and the raw key's entry."""

    data: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()

    @classmethod
    def on(cls, view: SecretView) -> _Entries:
        """Read it from a Secret; absent or edited out of form, it lists nothing."""
        try:
            return cls.model_validate_json(view.annotations[ENTRIES_ANNOTATION])
        except (KeyError, ValueError):
            return cls()


def _labels(api_key: ApiKey, raw: RawKey) -> dict[str, str]:
    project = api_key.spec.project_ref
    return {
        MANAGED_BY_LABEL: "keywright",
        API_KEY_LABEL: api_key.metadata.name,
        API_KEY_UID_LABEL: api_key.metadata.uid,
        PROJECT_LABEL: project.name,
        PROJECT_NAMESPACE_LABEL: project.namespace or api_key.metadata.namespace,
        KEY_ID_LABEL: raw.id,
    }


def _annotations(generation: Generation, revision: int) -> dict[str, str]:
    """Return those that are sealed; `expires-at` is absent where the generation has no stamp."""
    times = {CREATED_AT_ANNOTATION: generation.created_at, EXPIRES_AT_ANNOTATION: generation.expires_at}
    stamps = {name: format_time(moment) for name, moment in times.items() if moment}
    return {REVISION_ANNOTATION: str(revision), **stamps}


def _facts(api_key: ApiKey, raw: RawKey, annotations: Mapping[str, str]) -> Facts:
    """Gather what is sealed, the times as written. Raises KeyError or ValueError for broken annotations."""
    return Facts(
        namespace=api_key.metadata.namespace,
        api_key=api_key.metadata.name,
        secret_name=api_key.secret_name,
        key_id=raw.id,
        digest=raw.digest,
        created_at=annotations[CREATED_AT_ANNOTATION],
        expires_at=annotations.get(EXPIRES_AT_ANNOTATION, ""),
        revision=int(annotations[REVISION_ANNOTATION]),
    )


def _seal(sealing: SealingKeys, facts: Facts, present: SecretView) -> str:
    old = present.annotations.get(SEAL_ANNOTATION, "")
    return old if seal_holds(sealing, old, **facts) else seal(sealing, **facts)


def _owner_references(api_key: ApiKey, present: SecretView) -> list[Mapping[str, Any]]:
    own = {
        "apiVersion": API_VERSION,
        "kind": "ApiKey",
        "name": api_key.metadata.name,
        "uid": api_key.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    references = list(present.owner_references)
    if own in references:
        return references
    return [*(ref for ref in references if ref["uid"] != own["uid"]), own]


def _expanded(
    templates: Mapping[str, str], api_key: ApiKey, raw: RawKey, ends_at: datetime | None
) -> dict[str, str]:
    """Expand the four variables in `secret.data`; `$$(` becomes `$(`, anything else stays as it is."""
    values = {
        "API_KEY": raw.value,
        "KEY_ID": raw.id,
        "PROJECT": api_key.spec.project_ref.name,
        "EXPIRES_AT": format_time(round_up(ends_at)) if ends_at else "",
    }

    def expand(match: re.Match[str]) -> str:
        return values[match[1]] if match[1] else "$("

    return {name: _VARIABLE.sub(expand, text) for name, text in templates.items()}


def _over(present: Mapping[str, str], ours: Container[str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return `wanted` and what is present beside it, less the names that are (or were) ours."""
    kept = {name: value for name, value in present.items() if name not in ours}
    return {**kept, **wanted}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
