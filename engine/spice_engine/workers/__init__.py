"""Children: shims that outlive the engine, warm trainers and loaders, limits, placement."""
