"""Cellularity prediction maps, and all maps of one patient.

What the Methods say, and the modules that do it:

- "T1, T1CE, FLAIR, and ADC images were the input sequences for the machine learning algorithm
  generating cellularity prediction maps (CPM)": ``predict``, by ``features``, ``forest`` and
  ``traversal`` (on as many ``processors`` as there are).
- "previously trained and validated on MRI and autopsy glioblastoma data": ``training`` on
  ``slices``; ``card`` and ``model_file`` keep what comes of it.
- "The voxel-wise CPM values output by the algorithm were divided by the whole-brain intensity SD
  at the single patient level": ``normalisation``.
- ``patient_maps`` takes one patient through these steps and those of ``cpmlib.mri``.
"""
