"""What models and tokenizers share: no network, no chatter, and errors that say what to pass."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from puresid.evaluation.config import FilePath
from puresid.evaluation.extras import extra


def local_folder(path: FilePath | str) -> Path:
    """Return the folder of a model that is on this machine.

    Parameters
    ----------
    path : FilePath or str
        A folder, or a name such as ``google-t5/t5-base``, which is looked up in the cache of
        Hugging Face's libraries and nowhere else.

    Raises
    ------
    FileNotFoundError
        If there is none, or no ``config.json`` in it.
    """
    here = isinstance(path, FilePath) or os.path.isdir(path)
    folder = Path(path) if here else _cached(str(path))
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"[model] path is {str(path)!r}; there is no config.json. Pass a folder as "
            "transformers saves it (save_pretrained), with config.json, weights and tokenizer"
        )
    return folder


def _cached(name: str) -> Path:
    hub = extra("huggingface_hub")
    try:
        return Path(hub.snapshot_download(name, local_files_only=True))
    except (OSError, ValueError):  # not there, or no name that could be
        raise FileNotFoundError(
            f"[model] path is {name!r}, which is neither a folder nor in the local cache of "
            "models. Nothing is downloaded: pass the path of a folder that has the model"
        ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing bars and from logging what is no error, for a while."""
    logging = extra("transformers.utils.logging")
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # Libraries that call each other's deprecated names; nothing that a user can act on.
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
