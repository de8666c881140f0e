"""Train and judge the networks that the service explains."""
