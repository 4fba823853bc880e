"""Validation of MRI cellularity prediction maps against image-guided biopsies.

One package is one room, in the order of the paper's Methods; imports run downwards only. Nothing is
imported in a package's own file, so that a notebook depends only on the modules that it names.
"""

__version__ = "0.1.0"
