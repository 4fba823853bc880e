"""The table of the synthetic study, calibrated to the printed results."""
