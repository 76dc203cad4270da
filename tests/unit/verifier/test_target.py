"""Request targets: what is read, and what is refused because two programs may read it in two ways."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keywright.verifier.target import Target, read, without_authority

READ = {
    "/": Target("/", ""),
    "/v1/keys": Target("/v1/keys", ""),
    "/v1/keys/": Target("/v1/keys/", ""),
    "/v1/keys?limit=5": Target("/v1/keys", "limit=5"),
    "/v1/keys?": Target("/v1/keys", ""),
    "/?a=//b/../c;d\\%2f": Target("/", "a=//b/../c;d\\%2f"),
    "/a?b?c": Target("/a", "b?c"),
    "/caf%C3%A9": Target("/café", ""),
    "/café": Target("/café", ""),
    "/a%20b": Target("/a b", ""),
    "/a%2Db": Target("/a-b", ""),
    "/100%25": Target("/100%", ""),
    "/100%25-off": Target("/100%-off", ""),
    "/a%3Fb": Target("/a?b", ""),
    "/...": Target("/...", ""),
    "/.well-known/x": Target("/.well-known/x", ""),
    "/a/..b/c..": Target("/a/..b/c..", ""),
    "/it's/(a)/b,c/d=e/f:g/@h/$i/j!k/l*m/n&o/p+q/~r": Target(
        "/it's/(a)/b,c/d=e/f:g/@h/$i/j!k/l*m/n&o/p+q/~r", ""
    ),
}

REFUSED = {
    "nothing": "",
    "no leading slash": "v1/keys",
    "an asterisk": "*",
    "absolute form": "http://host/v1",
    "a dot segment": "/v1/./keys",
    "a dot at the end": "/v1/.",
    "a dot alone": "/.",
    "dots": "/v1/../keys",
    "dots at the end": "/v1/..",
    "dots before a query": "/v1/..?x",
    "dots first": "/../keys",
    "an encoded dot": "/v1/%2e/keys",
    "an encoded dot at the end": "/v1/%2E",
    "encoded dots": "/v1/%2e%2e/keys",
    "half encoded dots": "/v1/.%2E/keys",
    "an empty inner segment": "/v1//keys",
    "an empty first segment": "//v1",
    "two slashes at the end": "/v1//",
    "a backslash": "/v1\\keys",
    "an encoded backslash": "/v1%5ckeys",
    "an encoded backslash in upper case": "/v1%5Ckeys",
    "a semicolon": "/v1;a=b/keys",
    "an encoded semicolon": "/v1%3bkeys",
    "an encoded semicolon in upper case": "/v1%3Bkeys",
    "an encoded slash": "/v1%2fkeys",
    "an encoded slash in upper case": "/v1%2Fkeys",
    "an encoded NUL": "/v1/keys%00",
    "a NUL": "/v1/keys\x00",
    "a newline": "/v1/keys\n",
    "a carriage return": "/v1\r/keys",
    "a tab": "/v1\tkeys",
    "a blank": "/v1 keys",
    "a DEL": "/v1\x7f",
    "an encoded newline": "/v1%0akeys",
    "an encoded newline at the end": "/v1%0A",
    "an encoded DEL": "/v1%7f",
    "an encoded C1 control character": "/v1%C2%85",
    "a C1 control character": "/v1\x85",
    "a slash encoded twice": "/v1%252fkeys",
    "dots encoded twice": "/v1/%252e%252e/keys",
    "a letter encoded twice": "/v1/%2541",
    "a percent sign encoded three times": "/v1/%252541",
    "a percent sign alone": "/v1/100%",
    "a cut escape": "/v1/%4",
    "an escape that is none": "/v1/%zz",
    "a fragment": "/v1/keys#top",
    "a fragment in the query": "/v1/keys?a#b",
    "a blank in the query": "/v1/keys?a b",
    "a control character in the query": "/v1/keys?a\x01b",
}

INVALID_UTF8 = [
    b"/\xff",
    b"/caf%E9",
    b"/%c0%af",
    b"/%C0%AE%C0%AE/x",
    b"/%ed%a0%80",
    b"/%C3",
    b"/\xc3",
    b"/%f8%80",
]


@pytest.mark.parametrize("raw", READ)
def test_a_plain_target_is_decoded_once(raw: str) -> None:
    assert READ[raw] == read(raw.encode())


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_a_target_that_may_be_read_in_two_ways_is_refused(raw: str) -> None:
    assert read(raw.encode()) is None


@pytest.mark.parametrize("raw", INVALID_UTF8)
def test_a_path_that_is_not_utf_8_is_refused(raw: bytes) -> None:
    assert read(raw) is None


def test_a_query_that_is_not_utf_8_is_kept_byte_by_byte() -> None:
    assert Target("/", "a=\xff") == read(b"/?a=\xff")


@given(
    st.lists(st.sampled_from([*"/./%;\\?#ab0", "%2f", "%2e", "%25", "..", "é", "\x00", "\x85"]), max_size=8)
)
@example(["a", "/", "%2e"])
def test_whatever_is_read_is_unambiguous_in_any_later_reading(parts: list[str]) -> None:
    target = read(("/" + "".join(parts)).encode())
    if target is None:
        return
    inner = target.path.removesuffix("/").split("/")[1:]
    assert not {"", ".", ".."} & set(inner)
    assert not set("\\;\x00\x85") & set(target.path)
    assert "#" not in target.query


URLS = {
    b"http://host/a": b"/a",
    b"https://host/a?b=c": b"/a?b=c",
    b"https://host:8443/": b"/",
    b"https://[2001:db8::1]:8443/a": b"/a",
    b"http://a_b.example.com/x": b"/x",
    b"http://host//a": b"//a",
    b"http://host/a#b": b"/a#b",
}

NO_URLS = [
    b"",
    b"/a",
    b"//host/a",
    b"host/a",
    b"ftp://host/a",
    b"HTTP://host/a",
    b"http:///a",
    b"http://host",
    b"http://host?x=/a",
    b"http://a?x=/secret",
    b"http://a#/secret",
    b"http://user@host/a",
    b"http://user:secret@host/a",
    b"http://a\\b/c",
    b"http://a%2fb/c",
    b"http://a b/c",
    b"http://host\n/a",
    b" http://host/a",
]


@pytest.mark.parametrize("url", URLS)
def test_an_authority_is_cut_off_at_the_first_slash(url: bytes) -> None:
    assert URLS[url] == without_authority(url)


@pytest.mark.parametrize("url", NO_URLS)
def test_a_url_whose_authority_is_no_host_is_refused(url: bytes) -> None:
    assert without_authority(url) is None
