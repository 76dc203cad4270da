"""`make demo`: the life of an API key, told by the real operator on a real Kubernetes API server."""
