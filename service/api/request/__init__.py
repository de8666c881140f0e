"""A request: its body, its options, its image, and the format that it accepts."""
