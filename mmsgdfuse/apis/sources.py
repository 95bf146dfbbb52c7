"""Which files a user means, and which of them belong together."""

from __future__ import annotations

from mmsgdfuse.pairing import ImagePair, plan_pairs

__all__ = ['ImagePair', 'find_sources']


def find_sources(
    ir: str, vis: str, pairing: str | None = None
) -> tuple[list[ImagePair], list[str]]:
    """The pairs and the faults of :func:`mmsgdfuse.pairing.plan_pairs`, as lists.

    Args:
        ir: An image file, a folder of images, or a glob.
        vis: The same kind for the visible images.
        pairing: What partners have in common. Default: see there.

    Raises:
        InputError: See there.
    """
    plan = plan_pairs(ir, vis, pairing)
    return list(plan.pairs), list(plan.faults)
