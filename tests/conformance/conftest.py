"""The folder `conformance/` is no package of ours: it is put on the path for these tests, as for its own programs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "conformance"))
