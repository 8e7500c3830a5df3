"""The errors novkit raises: each is one sentence that names the thing and the mend."""

_MOST = 1200  # characters: more is a damaged file's content, and no sentence


class NovkitError(Exception):
    """Base of all errors that a user can mend. What is too long to be read is left out of its middle: the mend stands at the end."""

    def __str__(self) -> str:
        text = super().__str__()
        return text if len(text) <= _MOST else f"{text[: _MOST - 403]} … {text[-400:]}"


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
