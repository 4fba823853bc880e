"""Cells counted on H&E: exports of QuPath, outlines, nuclei of tiles.

Methods: "All cells identified on the H&E stain were counted and included in the cellularity
quantitation"
"""
