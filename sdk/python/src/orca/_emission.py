"""The core's word that it has a window."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from orca._contract import service_pb2 as pb
from orca._errors import OrcaError


class EmitStatus(Enum):
    """What an emitted window has set in motion. With each of them the window is kept."""

    PROCESSING_TRIGGERED = "processing triggered"
    """The window's run has begun."""
    NO_TRIGGERED_ALGORITHMS = "no triggered algorithms"
    """No active algorithm has this window type."""
    TRIGGERING_FAILED = "triggering failed"
    """Algorithms have this window type, but none of them can run."""


@dataclass(frozen=True)
class Emission:
    """The core's word that it has a window on disk."""

    window_id: str
    """What `wait` takes. It is empty when the core gives none."""
    status: EmitStatus


def status_of(status: int) -> EmitStatus:
    """Read a status."""
    for known in EmitStatus:
        if pb.WindowEmitStatus.StatusEnum.Value(known.name) == status:
            return known
    raise OrcaError(f"the core answered with the unknown status {status}")
