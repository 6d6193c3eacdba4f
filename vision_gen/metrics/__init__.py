"""Figures of image quality."""
