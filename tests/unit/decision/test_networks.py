"""From which addresses a key may be used."""

from __future__ import annotations

import pytest

from keywright.decision.networks import networks_of

NETWORKS = networks_of(("10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"))


@pytest.mark.parametrize(
    "client", ["10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8::1", "2001:DB8:0::1", "::ffff:10.1.2.3"]
)
def test_an_address_in_one_of_the_networks_is_let_in(client: str) -> None:
    assert NETWORKS.contain(client)


@pytest.mark.parametrize(
    "client",
    [
        None,
        "",
        "11.0.0.0",
        "192.0.2.8",
        "2001:db9::1",
        "::ffff:11.0.0.0",
        "10.1",
        "10.1.2.03",
        "10.1.2.3 ",
        "10.1.2.3:80",
        "010.1.2.3",
        "fe80::1%eth0",
        "[2001:db8::1]",
        "10.1.2.3\0",
        "é",
    ],
)
def test_any_other_one_or_none_or_what_is_no_address_is_not(client: str | None) -> None:
    assert not NETWORKS.contain(client)


def test_all_of_one_kind_of_address_is_nothing_of_the_other() -> None:
    assert not networks_of(("0.0.0.0/0",)).contain("2001:db8::1")
    assert not networks_of(("::/0",)).contain("10.1.2.3")


@pytest.mark.parametrize("cidr", ["10.1.2.3/8", "nonsense", "10.0.0.0/33", ""])
def test_what_is_no_network_is_an_error_and_not_one_that_matches_nothing(cidr: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        networks_of((cidr,))
