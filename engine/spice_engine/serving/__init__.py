"""Models and model servers: versions, routing, replicas, rollout, scaling."""
