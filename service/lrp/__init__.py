"""Layer-wise Relevance Propagation: methods mapped to rules, and their attributors."""
