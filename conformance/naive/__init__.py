"""A second reader of the rules, for checking the vectors: slow, plain, and written from shared words, not shared code.

Of lnrecur it uses `lnrecur.crypto` alone (points and BIP 340); bytes, merkle trees, calendars and rules are its own,
written straight from the rules' text. Every rule is asked of every case, so that a case which breaks two is found out.
"""
