"""How well maps predict: beyond the paper, the errors of its maps and what they are made of.

`quality` has the errors of samples, `patients` what patients share, and `resampling` what other
patients might have given.
"""
