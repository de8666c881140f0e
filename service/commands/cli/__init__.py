"""The arguments of the commands of `lrpserve`; what they do is loaded when they are called."""
