"""How many cores there are to compute on."""


def available_cores() -> int:
    """CPU cores that this process may use: those it is bound to, and no more than its container's quota, as on Binder or a JupyterHub."""
    from joblib import cpu_count  # on demand: importing it takes a while

    return cpu_count()
