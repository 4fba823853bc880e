"""From a patient's images to one grid, a brain mask and aligned contrasts."""
