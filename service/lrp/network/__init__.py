"""A network in a form that rules apply to: canonized, traced, its layers listed."""
