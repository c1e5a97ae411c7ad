"""BOLT 4: blinded paths, Sphinx onions and what they carry."""
