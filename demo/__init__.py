"""`make demo`: the life of an API key, told by the real programs on a real Kubernetes API server."""
