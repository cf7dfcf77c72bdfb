"""A predictor inside its replica: found, called with payloads, its answers encoded."""
