"""Images of which it is known exactly which object decides, and methods scored against it."""
