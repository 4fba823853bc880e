"""Spheres at the biopsy targets, and the means that are read in them.

Methods: "Each image-guided biopsy target consisted in a single spherical region-of-interest (ROI)
with diameter 5 mm." / "Mean normalized CPM values and mean ADC values were extracted from each
ROI."
"""
