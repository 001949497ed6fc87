"""Figures, overlays, sliders and tables for pages."""
