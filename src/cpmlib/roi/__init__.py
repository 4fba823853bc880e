"""Spheres at the biopsy targets, and the means that are read in them.

What the Methods say, and the modules that do it:

- "Each image-guided biopsy target consisted in a single spherical region-of-interest (ROI) with
  diameter 5 mm.": ``sphere``; ``lps`` asks whether targets are mirrored.
- "Mean normalized CPM values and mean ADC values were extracted from each ROI.": ``means`` of an
  image, ``extraction`` for the sample table; ``walkthrough`` shows each step of one patient,
  which ``steps_file`` keeps.
"""
