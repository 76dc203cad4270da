"""What the programs read: keys, tokens, kubeconfigs, the audit policy.

Where upstream documents YAML this writes JSON, which is a subset: the standard library has no YAML.
"""

import base64
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class Identity:
    """Someone whom the token file lets in."""

    user: str
    token: str
    groups: tuple[str, ...] = ()


def identity(user: str, *groups: str) -> Identity:
    return Identity(user=user, token=secrets.token_urlsafe(32), groups=groups)


def write_private(path: Path, text: str) -> Path:
    """Writes a file that only its owner reads, at once or not at all."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)
    scratch.rename(path)
    return path


def write_json(path: Path, content: Any) -> Path:
    return write_private(path, json.dumps(content, indent=2) + "\n")


def write_tokens(path: Path, *identities: Identity) -> Path:
    rows = [f'{one.token},{one.user},{one.user},"{",".join(one.groups)}"\n' for one in identities]
    return write_private(path, "".join(rows))


def write_signing_key(path: Path) -> Path:
    """An elliptic-curve key for service account tokens.

    The public half follows from the private number, so SEC 1 lets it be left out; what remains is a constant
    frame around 32 random bytes, and neither openssl nor a package is needed.
    """
    number = (1 + secrets.randbelow(_P256_ORDER - 1)).to_bytes(32, "big")
    der = bytes.fromhex("30310201010420") + number + bytes.fromhex("a00a06082a8648ce3d030107")
    body = base64.encodebytes(der).decode()
    return write_private(path, f"-----BEGIN EC PRIVATE KEY-----\n{body}-----END EC PRIVATE KEY-----\n")


def write_authority(path: Path, chain: Path) -> Path:
    """The certificate that signed the API server's own, which is the last in the chain it made for itself.

    Alone, because the controller manager publishes it to namespaces and refuses one that is no authority.
    """
    begin = "-----BEGIN CERTIFICATE-----"
    return write_private(path, begin + chain.read_text(encoding="utf-8").rpartition(begin)[2])


def write_kubeconfig(path: Path, *, server: str, authority: Path, who: Identity) -> Path:
    certificates = base64.b64encode(authority.read_bytes()).decode()
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "keywright",
        "clusters": [
            {"name": "keywright", "cluster": {"server": server, "certificate-authority-data": certificates}}
        ],
        "users": [{"name": who.user, "user": {"token": who.token}}],
        "contexts": [{"name": "keywright", "context": {"cluster": "keywright", "user": who.user}}],
    }
    return write_json(path, content)


def audit_policy() -> dict[str, Any]:
    """Who did what to which object, without bodies: tests count an identity's requests with it.

    Left out is only what the control plane itself does all the time: probes, its own leases and reads.
    """
    itself = {
        "users": ["system:apiserver", "system:kube-controller-manager"],
        "userGroups": ["system:serviceaccounts:kube-system"],
    }
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/openapi*"]},
            *({"level": "None", key: who, "verbs": ["get", "list", "watch"]} for key, who in itself.items()),
            {
                "level": "None",
                "users": itself["users"],
                "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}],
            },
            {"level": "Metadata"},
        ],
    }
