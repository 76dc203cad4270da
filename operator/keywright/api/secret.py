"""The Secret as an ApiKey describes it: names, labels, annotations and further entries."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from keywright.api.forms import DATA_KEY_PATTERN, LABEL_KEYS, LabelValue, Name, SecretKey
from keywright.api.meta import Model
from keywright.api.rules import Rule, matches

_OTHERS = (
    "kubernetes.io",
    "k8s.io",
    "argoproj.io",
    "fluxcd.io",
    "keywright.dev",
    "emberstack.com",
    "authorino.kuadrant.io",
)
_RESERVED_KEY = rf"^([-a-z0-9.]+\.)?({'|'.join(map(re.escape, _OTHERS))})/"
_COMMON_KEY = r"^app\.kubernetes\.io/(name|component|part-of|version)$"

# Such a label or annotation makes other software track, prune or copy the Secret, or read it as its own.
_NO_RESERVED_KEYS = Rule(
    cel=f"self.all(k, !{matches('k', _RESERVED_KEY)} || {matches('k', _COMMON_KEY)})",
    message=f"names under {', '.join(_OTHERS)} and their subdomains are reserved: write names of "
    "your own, or app.kubernetes.io/name, component, part-of or version",
)

# In words: no $( but that of a variable, or one behind a run of two or more $, of which the last two escape.
_EXPANDABLE = r"^([^$]|\$\((API_KEY|KEY_ID|PROJECT|EXPIRES_AT)\)|\$\$+\(|\$+[^$(])*\$*$"
_ONLY_FOUR = (
    "only $(API_KEY), $(KEY_ID), $(PROJECT) and $(EXPIRES_AT) are expanded; for any other $( write $$("
)


class OnLoss(StrEnum):
    """What to do when the Secret or its value is gone or was changed by hand."""

    REMINT = "Remint"
    ALERT = "Alert"


class SecretTemplate(Model):
    """The Secret that carries the raw value."""

    cel = (
        Rule(
            cel="!has(self.data) || !(self.key in self.data)",
            message="the entry that secret.key names holds the key itself: leave it out of secret.data",
        ),
    )

    name: Name | None = None
    """The name of the Secret. Default: the ApiKey's name. Immutable."""
    key: Annotated[
        SecretKey,
        Rule(
            cel="self == oldSelf",
            message="secret.key is immutable (absent it is apiKey): delete the ApiKey and create another one",
        ),
    ] = "apiKey"
    """The entry of the Secret that holds the key itself. Immutable."""
    labels: Annotated[dict[str, LabelValue], LABEL_KEYS, _NO_RESERVED_KEYS, Field(max_length=16)] | None = (
        None
    )
    """Labels of the Secret. Those of other software's domains are refused."""
    annotations: (
        Annotated[
            dict[str, Annotated[str, Field(max_length=4096)]],
            LABEL_KEYS,
            _NO_RESERVED_KEYS,
            Field(max_length=16),
        ]
        | None
    ) = None
    """Annotations of the Secret. Those of other software's domains are refused."""
    # The rules stand on the map: an error of a single value would quote it.
    data: (
        Annotated[
            dict[str, Annotated[str, Field(max_length=8192)]],
            Field(max_length=16),
            Rule(
                cel=f"self.all(k, {matches('k', DATA_KEY_PATTERN)} && size(k) <= 253)",
                message='write each key with letters, digits, "-", "_" and ".", such as ".env", '
                "in at most 253 characters",
            ),
            Rule(
                cel=f"self.all(k, {matches('self[k]', _EXPANDABLE)})",
                message=_ONLY_FOUR,
                message_expression="'in the entry ' "
                f"+ self.filter(k, !{matches('self[k]', _EXPANDABLE)})[0] + ': {_ONLY_FOUR}'",
            ),
            Rule(
                cel="self.map(k, size(self[k])).sum() <= 65536",
                message="write at most 65536 characters in all entries together",
            ),
        ]
        | None
    ) = None
    """Further entries, in which $(API_KEY), $(KEY_ID), $(PROJECT) and $(EXPIRES_AT) are expanded and $$(
    stands for $(."""
    on_loss: OnLoss = OnLoss.REMINT
    """When the Secret or its value is gone or was changed by hand: Remint it at once, or only Alert."""
