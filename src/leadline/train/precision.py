"""Which precisions the processor is made for."""

from __future__ import annotations

import torch


def fast_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 matrices by itself; without, they are no faster than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
