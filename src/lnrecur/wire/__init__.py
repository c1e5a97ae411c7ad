"""Bytes and text: BigSize, truncated integers, TLV streams, bolt12 strings and the BOLT 1 messages we speak."""
