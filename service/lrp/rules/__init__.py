"""LRP rules as modules, and which layer gets which of them."""
