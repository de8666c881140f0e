"""Claims about what a network looks at, measured over a test set: each with controls and a rule."""
