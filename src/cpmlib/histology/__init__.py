"""Cells counted on H&E: exports of QuPath, outlines, nuclei of tiles."""
