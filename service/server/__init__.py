"""The serving process: its socket, its protocol, its signals, and the supervisor of several."""
