"""Latents on disk and in memory."""
