"""A real Kubernetes control plane for tests and the demo: no container engine, no root, no user's context.

`python -m controlplane up` prints the path of a kubeconfig. Only the standard library is used, because
this runs before there is a virtual environment.
"""
