"""The only room that imports cryptographic libraries: libsecp256k1, ChaCha20-Poly1305, SHA-256."""
