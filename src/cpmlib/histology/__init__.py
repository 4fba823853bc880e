"""Cells counted on H&E: exports of QuPath, outlines, nuclei of tiles.

Methods, and the module of each sentence: "QuPath [...] was used for semi-automatic cell counting"
(`qupath`, with `qupath_tables`, `qupath_outlines`, `pixel_size`) / "All cells identified on the H&E
stain were counted and included in the cellularity quantitation" (`tissue`) / "Samples were
hematoxylin and eosin stained (H&E) and digitalized." (`he_tiles`, `nucleus_counting`)
"""
