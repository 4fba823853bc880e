"""Docstrings read with the template that is compiled once are those that numpydoc reads."""

import inspect

import pytest
from numpydoc.docscrape_sphinx import get_doc_object

from cpmlib.mri.volume import Volume
from cpmlib.statistics import correlation
from sphinx_extensions.docstring_template import read_docstring

OBJECTS = [Volume, *dict(inspect.getmembers(correlation, inspect.isfunction)).values()]


@pytest.mark.parametrize("described", OBJECTS, ids=lambda described: described.__name__)
def test_docstrings_read_the_same(described: type) -> None:
    config = {"show_class_members": False}
    expected = str(get_doc_object(described, config=dict(config)))
    assert str(read_docstring(described, config=config)) == expected
    assert "template" not in config
