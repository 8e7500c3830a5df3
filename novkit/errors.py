"""The errors novkit raises: each is one sentence that names the thing and the mend."""


class NovkitError(Exception):
    """Base of all errors that a user can mend."""


class DataError(NovkitError, ValueError):
    """Images, labels or a data set are not what the call needs."""


class SettingsError(NovkitError, ValueError):
    """A setting has a value that cannot work."""


class StoredFileError(NovkitError, OSError):
    """A checkpoint, a results file or a cache cannot be read or written."""


class TrainingError(NovkitError, RuntimeError):
    """Training collapsed or diverged."""


class NotFittedError(NovkitError, AttributeError):
    """A detector was asked for scores before `fit`."""
