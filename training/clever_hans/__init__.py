"""Clever Hans networks: trained with planted artefacts, to calibrate the audit."""
