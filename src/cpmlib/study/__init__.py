"""What a study brings: tables, files of images and exports, choices, printed values.

Methods: "The inclusion criteria for the current study were as follows: [...] availability of
pre-surgical MRI scans, and availability of digitalized hematoxylin and eosin staining (H&E)."
"""
