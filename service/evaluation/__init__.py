"""Evaluation of explanations over data sets, with an engine; used by commands and training."""
