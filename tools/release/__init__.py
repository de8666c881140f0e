"""`make release`: everything that a release consists of, in `dist/`."""
