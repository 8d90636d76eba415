"""Measures of style transfer: one a module; `evaluate` puts them together."""
