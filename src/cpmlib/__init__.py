"""Validation of MRI cellularity prediction maps against image-guided biopsies.

One module is one topic of the field; nothing is imported here, so that a notebook depends
only on the modules it names (see ``workflow/dependencies.py``).
"""

__version__ = "0.1.0"
