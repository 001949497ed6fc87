"""The question of each chapter: tables in, tables out."""
