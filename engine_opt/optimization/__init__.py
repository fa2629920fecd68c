"""How the engine runs: memory, pools, caches, resources, and which of them pay. Generic: knows nothing of options."""
