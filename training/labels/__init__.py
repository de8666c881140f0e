"""Whether maps change with what a network has learned: networks of true and of shuffled labels."""
