"""From a patient's scans to images on one grid: registration, brain mask, ADC, rCBV."""
