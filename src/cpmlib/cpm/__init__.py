"""Cellularity prediction maps: features, forest, training, model file, prediction.

Methods: "input sequences for the machine learning algorithm generating cellularity prediction maps
(CPM)" / "The voxel-wise CPM values output by the algorithm were divided by the whole-brain
intensity SD at the single patient level"
"""
