"""Settings for all tests."""

from hypothesis import settings

# A deadline per example would make a busy machine fail tests of pure functions; the blob replays a failure anywhere.
settings.register_profile("lnrecur", deadline=None, print_blob=True)
settings.load_profile("lnrecur")
