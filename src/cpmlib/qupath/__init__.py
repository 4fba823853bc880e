"""What QuPath exports: tables, outlines, and the regions that they describe."""
