"""Which verifiers there are to be asked for usage: those that are named, or those behind a Service.

Every one has counted what went through it alone, so each is asked by its own address, never by the Service's.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from keywright.kube import paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keywright.controller.ports import UsageOptions
    from keywright.kube.client import Client

PORT = "ops"
MOST = 512
"""More than that nobody runs; whoever may write EndpointSlices could name them."""


async def find(client: Client, options: UsageOptions) -> list[str]:
    """Return the base URL of each, in order. Raises ApiError and TransportError."""
    if options.urls:
        return list(options.urls)
    namespace, name = options.service
    query = {"labelSelector": f"kubernetes.io/service-name={name}"}
    slices = client.pages(paths.endpoint_slices(namespace), query, whole=True)
    found: dict[str, str] = {}
    async for page in slices:
        for one in page["items"]:
            for pod, url in _endpoints(one):
                found.setdefault(pod, url)  # a pod with IPv4 and IPv6 stands in two slices
    return sorted(found.values())[:MOST]


def _endpoints(one: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name pod and URL of each endpoint of a slice that serves."""
    numbers = [port.get("port") for port in one.get("ports") or () if port.get("name") == PORT]
    if not numbers or not isinstance(numbers[0], int):
        return
    for endpoint in one.get("endpoints") or ():
        conditions = endpoint.get("conditions") or {}
        serving = conditions.get("serving")
        if (conditions.get("ready") if serving is None else serving) is False:
            continue
        host = _host(next(iter(endpoint.get("addresses") or ()), ""))
        if host is not None:
            url = f"http://{host}:{numbers[0]}"
            yield (endpoint.get("targetRef") or {}).get("uid") or url, url


def _host(text: str) -> str | None:
    """Return an address as a URL has it; nothing of a name, which a slice may hold too."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return f"[{address}]" if address.version == 6 else str(address)
