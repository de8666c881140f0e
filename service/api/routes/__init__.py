"""The routes, and the pipeline that `/predict` and `/explain` share."""
