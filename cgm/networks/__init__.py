"""Generators, discriminators and the fixed networks that judge them."""
