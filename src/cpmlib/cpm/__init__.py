"""Cellularity prediction maps: features, forest, training, model file, prediction."""
