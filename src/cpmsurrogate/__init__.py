"""A synthetic study, calibrated so that the paper's analysis of it gives the printed values.

`calibration` makes its tables, `images` its scans and slides. Read `calibration` in this order:
`targets` (printed values as intervals), `contradictions` (what cannot be),
`group_sizes`, `diagnoses` and `skeleton` (patients and samples), `outlier_sets` and `moments`
(where the search starts), `rows`, `equations` and `system` (what must hold), `solve` (the search),
`rounding` and `tables` (the finished tables), `cohort` (all of it in order).
"""
