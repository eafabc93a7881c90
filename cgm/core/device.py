"""From the host's memory to the device's."""

from __future__ import annotations

from cgm.core.lazy import np, torch


def to_device(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """``array`` as a tensor on ``device``, without waiting for a GPU: by way of pinned memory. On the CPU they share their memory."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
