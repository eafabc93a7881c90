"""The only conversions of range, dtype, layout and size.

Inside cgm an image batch is float32 NCHW in [-1, 1]; on disk it is uint8 NHWC; C is 3 (RGB) or 1 (grey). Everything else converts here.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

WHITE = 255
CHANNELS = (1, 3)


def to_float(
    images: np.ndarray | torch.Tensor, device: str | torch.device = "cpu", layout: torch.memory_format = torch.contiguous_format
) -> torch.Tensor:
    """uint8 N×H×W×C → float32 N×C×H×W in [-1, 1], in memory as ``layout``. Raises ``ValueError`` on any other dtype or shape."""
    if images.ndim != 4 or images.shape[-1] not in CHANNELS:
        raise ValueError(f"images: found shape {tuple(images.shape)}, expected N×H×W×3 (RGB, channels last) or N×H×W×1 (grey)")
    tensor = torch.from_numpy(np.array(images)) if isinstance(images, np.ndarray) else images
    if tensor.dtype != torch.uint8:
        raise ValueError(f"images: found dtype {tensor.dtype}, expected uint8 in 0…255")
    return tensor.to(device).permute(0, 3, 1, 2).contiguous(memory_format=layout).float().div_(127.5).sub_(1.0)


def to_uint8(images: torch.Tensor) -> np.ndarray:
    """float N×C×H×W in [-1, 1] → uint8 N×H×W×C, rounded to nearest, clipped. Raises ``ValueError`` on NaN or another shape."""
    if images.ndim != 4 or images.shape[1] not in CHANNELS:
        raise ValueError(f"images: found shape {tuple(images.shape)}, expected N×3×H×W, or N×1×H×W of grey images")
    if not torch.isfinite(images).all():
        raise ValueError("images: found NaN or infinity, expected values in [-1, 1]")
    scaled = images.detach().float().add(1.0).mul(127.5).round_().clamp_(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def contact_sheet(images: np.ndarray, columns: int, gap: int = 2) -> Image.Image:
    """uint8 N×H×W×C → one picture, row by row, ``columns`` wide, on a light grey ground; grey where the images are."""
    if images.ndim != 4 or images.shape[-1] not in CHANNELS or images.dtype != np.uint8:
        raise ValueError(f"images: found {images.dtype} {images.shape}, expected uint8 N×H×W×3, or N×H×W×1 of grey images")
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), 224, np.uint8)
    for index, image in enumerate(images):
        top = gap + (index // columns) * (height + gap)
        left = gap + (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
