"""The verifier: answers a proxy, for every request, whether the key in it is good."""
