"""What is measured for the evidence about an explanation, and what that costs. Needs no torch."""

from __future__ import annotations

N_STEPS = 8  # in which an image is hidden: the second one hides a quarter
N_RANDOM_ORDERS = 8
N_COPIES = 4  # noisy ones
NOISE_LEVEL = 0.05  # standard deviation of the noise, as a share of the image's range
PATCHES_PER_SIDE = 8  # of the shorter side
FILL = "blur"
SEED = 0


def patch_side(input_size: tuple[int, int]) -> int:
    """Side of a patch in pixels, for an input of this height and width."""
    return max(1, round(min(input_size) / PATCHES_PER_SIDE))


def count_forwards(n_targets: int, n_of_explanation: int) -> int:
    """Count the forward passes of one image for the evidence about all of its targets.

    Each target has two orders of its own, and the random ones are common to all; every order ends
    with the whole image hidden, which takes one pass for all of them.

    Parameters
    ----------
    n_targets : int
        Of the image.
    n_of_explanation : int
        Forward passes of one explanation of the image, which is that of each noisy copy.
    """
    n_orders = 2 * n_targets + N_RANDOM_ORDERS
    return (N_STEPS - 1) * n_orders + 1 + N_COPIES * n_of_explanation
