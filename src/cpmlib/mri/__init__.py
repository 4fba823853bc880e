"""From a patient's scans to images on one grid: registration, brain mask, ADC, rCBV.

What the Methods say, and the modules that do it:

- "a pre-surgical acquisition [...] according to the standardized brain tumor imaging protocol
  (BTIP), including parameter-matched pre- and post-contrast 3D T1-weighted images [...], 2D
  T2-weighted FLAIR images [...], diffusion tensor imaging (DTI)": ``images`` reads files,
  ``patient`` all of one patient, ``survey`` looks at a whole study before; ``checks`` says whether
  images belong together.
- "T1, T1CE, FLAIR, and ADC images were the input sequences": on one grid by ``volume``,
  ``resampling`` and ``registration`` (with ``multiresolution``).
- "whole-brain": ``brain_mask``, checked against ``template_mask``.
- "ADC was calculated on the scanner from DTI data.": ``adc`` takes the scanner's map, or makes it
  from the series by ``gradients`` and ``diffusion``.
- "Relative cerebral blood volume (rCBV) maps were calculated using a bidirectional leakage
  correction algorithm": ``rcbv``, with ``bolus``, ``leakage`` and its unit, ``white_matter``;
  ``series`` for both kinds of series.
- ``bias_field`` is not in the paper, and off by default.
"""
