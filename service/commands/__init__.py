"""What `lrpserve` does: one module for each of its subcommands."""
