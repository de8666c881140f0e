"""The command line `lrpserve`, and its commands."""
