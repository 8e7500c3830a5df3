"""How fast novkit is, on this machine: `python -m benchmarks run`, and the page made from what it measured: `python -m benchmarks page`."""
