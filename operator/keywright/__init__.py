"""API keys as a Kubernetes resource."""
