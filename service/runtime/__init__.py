"""The runtime: jobs, the queue of the device thread, and the engine that it runs."""
