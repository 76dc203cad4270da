"""The forms of strings that a user writes: a type for each, with its bound and a sentence that explains it.

Durations and times are in `keywright.api.meta`, beside the code that reads them.
"""

from typing import Annotated

from pydantic import Field

from keywright.api.rules import Form, ListSet, Rule, matches

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_SEGMENT = r"[a-z][a-z0-9_.-]*"

LABEL_VALUE_PATTERN = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
# A qualified name has at most 63 characters behind a prefix of at most 253, which the second one bounds.
QUALIFIED_KEY_PATTERN = rf"^({_SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$"
QUALIFIED_KEY_LENGTH = r"^([^/]{1,253}/)?[^/]*$"
DATA_KEY_PATTERN = r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$"

Name = Annotated[
    str,
    Field(max_length=63),
    Form(
        rf"^{_SUBDOMAIN}$",
        'write a name as Kubernetes has them: lower-case letters, digits, "-" and ".", such as "payments"',
    ),
]
NamespaceName = Annotated[
    str,
    Field(max_length=63),
    Form(
        rf"^{_LABEL}$",
        'write a namespace as Kubernetes has them: lower-case letters, digits and "-", such as "platform"',
    ),
]
LabelValue = Annotated[
    str,
    Field(max_length=63),
    Form(
        LABEL_VALUE_PATTERN,
        'write a label value: letters, digits, "-", "_" and ".", a letter or a digit first and last',
    ),
]
LabelKey = Annotated[
    str,
    Field(max_length=317),
    Form(
        QUALIFIED_KEY_PATTERN,
        'write a label key as Kubernetes has them, its prefix in lower case, such as "example.com/team"',
    ),
    Rule(
        cel=matches("self", QUALIFIED_KEY_LENGTH),
        message='write at most 253 characters before the "/" of a label key',
    ),
]
# For a map of labels or annotations: CEL sees keys only from the map.
LABEL_KEYS = Rule(
    cel=f"self.all(k, {matches('k', QUALIFIED_KEY_PATTERN)} && {matches('k', QUALIFIED_KEY_LENGTH)})",
    message='write each key as Kubernetes has them, its prefix in lower case, such as "example.com/team"',
)
Owner = Annotated[
    str,
    Field(max_length=63),
    Form(
        LABEL_VALUE_PATTERN,
        'write an owner in the form of a label value: letters, digits, "-", "_" and ".", a letter or a digit '
        'first and last, such as "checkout-bot"',
    ),
]
SecretKey = Annotated[
    str,
    Field(max_length=63),
    Form(
        DATA_KEY_PATTERN,
        'write a key of Secret data: letters, digits, "-", "_" and ".", such as "apiKey" or ".env"',
    ),
]
KeyPrefix = Annotated[
    str,
    Field(max_length=32),
    Form(
        r"^[a-z][a-z0-9]{1,9}(_[a-z0-9]{1,10}){0,2}$",
        "write 2 to 10 lower-case letters and digits, a letter first, then at most two further parts of "
        '1 to 10, joined by "_", such as "kw" or "acme_pay"',
    ),
    Rule(
        cel="!" + matches("self", r"(^|_)(dev|prod|client)(_|$)"),
        message="no part of keyPrefix may be dev, prod or client: in a key these say its type",
    ),
]
KeyID = Annotated[
    str,
    Field(max_length=16),
    Form(
        r"^[a-z0-9]{16}$",
        "write the 16 characters of a key id (an ApiKey's status.currentKeyID); never the key itself",
    ),
]

ScopeName = Annotated[
    str,
    Field(max_length=128),
    Form(
        rf"^{_SEGMENT}(:{_SEGMENT}){{0,3}}$",
        'write a scope of 1 to 4 segments joined by ":", each of lower-case letters, digits, "_", "." and '
        '"-" with a letter first, such as "payments:refund"',
    ),
]
RequestedScope = Annotated[
    str,
    Field(max_length=128),
    Form(
        rf"^(\*|{_SEGMENT}(:{_SEGMENT}){{0,3}}(:\*)?)$",
        'write a scope of 1 to 4 segments such as "data:read", with ":*" behind it for everything below '
        '("data:*"), or "*" for all',
    ),
]
RequestedScopes = Annotated[tuple[RequestedScope, ...], ListSet(), Field(max_length=64)]

Method = Annotated[
    str,
    Field(max_length=16),
    Form(r"^[A-Z][A-Z-]*$", "write a method in upper case, such as GET; for any method leave methods out"),
]
# No blanks, no control characters, and nothing that a URL, a proxy or this grammar reads as something else.
_LITERAL = r"[^\p{Z}\p{Cc}/?#%\\;{}*]+"
_PATH_SEGMENT = rf"/({_LITERAL}|\{{{_LITERAL}\}})"
RoutePath = Annotated[
    str,
    Field(max_length=256),
    Form(
        rf"^(/|({_PATH_SEGMENT})+/?|({_PATH_SEGMENT})*/\*)$",
        'write "/", or segments that are each literal (no blank, control character, ? # % \\ ; { } *) or '
        '{x}, with /* only at the end, such as "/v1/keys/{id}" or "/v1/*"',
    ),
    Rule(
        cel="!" + matches("self", r"/\.\.?(/|$)"),
        message='write the path without "." and ".." segments: a request is matched after they are resolved',
    ),
    Rule(
        cel=matches("self", r"^(/[^/]*){1,16}/?$"),
        message="write at most 16 segments",
    ),
]

_PORT = r":([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST = rf"({_SUBDOMAIN}|\[[0-9a-f:.]+\])"
Origin = Annotated[
    str,
    Field(max_length=300),
    Form(
        rf"^(https?://\*\.{_SUBDOMAIN}|[a-z][a-z0-9+.-]*://{_HOST})({_PORT})?$",
        'write an origin as browsers send it, in lower case and without a path: "https://app.example.com", '
        '"https://*.example.com" for one label before it, or an app\'s "capacitor://localhost"',
    ),
    Rule(
        cel="!"
        + matches(
            "self",
            r"^(javascript|vbscript|data|blob|about|file|filesystem|view-source|wss?|s?ftps?|mailto|tel|sms|urn):",
        ),
        message="no page or app has an origin of this scheme: write http, https or the app's own scheme",
    ),
]
Cidr = Annotated[
    str,
    Field(max_length=43),
    Rule(
        cel="isCIDR(self)",
        message='write a network with its prefix length, such as "10.0.0.0/8" or "2001:db8::/32"',
    ),
    Rule(
        cel="!isCIDR(self) || cidr(self).masked() in [cidr(self)]",
        message='write the network address, every bit behind the prefix zero: "10.0.0.0/8", not "10.1.2.3/8"',
    ),
]
