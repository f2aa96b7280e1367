"""Limits of renderers in software that no interface tells."""

from __future__ import annotations


def unasked_limits(renderer: str) -> dict[str, int]:
    """What is known of a renderer by its name. Mesa's llvmpipe, also as lavapipe's Vulkan, leaves
    all loops of a shader after so many turns of a thread (``LP_MAX_TGSI_LOOP_ITERATIONS``)."""
    return {"loop_turns": 65535} if "llvmpipe" in renderer else {}


__all__ = ["unasked_limits"]
