"""Settings for all tests."""

from hypothesis import settings

# An example may take long on a busy machine, which says nothing about the code.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")
