"""Spheres at the biopsy targets, and what is read in them."""
