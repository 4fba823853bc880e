"""The paper's figures: tables and images in, matplotlib figures out."""
