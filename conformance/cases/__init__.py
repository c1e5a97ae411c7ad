"""The cases of the suite, one module per group; `generate.py` writes them."""
