"""Synthetic images of the surrogate cohort."""
