"""A workload that uses a key: named by an ApiKey to be restarted, and by its status while it is."""

from enum import StrEnum

from keywright.api.forms import Name
from keywright.api.meta import Model


class WorkloadKind(StrEnum):
    """What can be restarted after a reveal."""

    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    DAEMON_SET = "DaemonSet"


class Workload(Model):
    """A workload of the same namespace that is restarted after a reveal."""

    kind: WorkloadKind
    """Deployment, StatefulSet or DaemonSet."""
    name: Name
    """Its name, in the ApiKey's namespace."""

    def __str__(self) -> str:
        """Return how a message names it to a person."""
        return f"{self.kind} {self.name}"
