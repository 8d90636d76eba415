"""A page and an HTTP API on this machine that give photos a style; `lgt serve` starts it."""
