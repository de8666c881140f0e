"""Evidence for or against an explanation: perturbation and measures of relevance. No FastAPI."""
