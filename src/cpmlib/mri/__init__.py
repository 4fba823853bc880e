"""From a patient's scans to images on one grid: registration, brain mask, ADC, rCBV.

Methods: "ADC was calculated on the scanner from DTI data." / "Relative cerebral blood volume
(rCBV) maps were calculated using a bidirectional leakage correction algorithm"
"""
