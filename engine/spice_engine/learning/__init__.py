"""Learning: rewards, features, algorithms, evaluation, policies. Knows nothing of YAML or HTTP."""
