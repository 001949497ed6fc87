"""The results tables of the book, each made in one place for the chapters that show it."""
