"""The demo's catalogue: the documentation of Python's standard library, as items and vectors.

Every machine with Python has it, nobody has to download it, and it is a real catalogue in what
matters here: topics that form families, and many items with the same text.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import re
import types
import warnings
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# A list by name and not sys.stdlib_module_names: importing some modules opens a browser, prints,
# warns or touches the terminal, and a module that a later Python adds may do so too.
_NAMES = """
    abc argparse array ast asyncio atexit base64 bdb binascii bisect builtins bz2 cProfile calendar
    cmath cmd code codecs codeop collections collections.abc colorsys compileall concurrent.futures
    configparser contextlib contextvars copy copyreg csv ctypes curses curses.ascii curses.panel
    curses.textpad dataclasses datetime dbm dbm.dumb decimal difflib dis doctest email email.charset
    email.encoders email.generator email.header email.headerregistry email.message email.mime.text
    email.parser email.policy email.utils enum errno faulthandler fcntl filecmp fileinput fnmatch
    fractions ftplib functools gc getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac
    html html.parser http http.client http.cookiejar http.cookies http.server imaplib importlib
    importlib.abc importlib.machinery importlib.metadata importlib.resources importlib.util inspect
    io ipaddress itertools json json.decoder json.encoder keyword linecache locale logging
    logging.config logging.handlers lzma mailbox marshal math mimetypes mmap modulefinder
    multiprocessing multiprocessing.connection multiprocessing.managers multiprocessing.pool
    multiprocessing.shared_memory netrc numbers operator optparse os os.path pathlib pdb pickle
    pickletools pkgutil platform plistlib poplib pprint profile pstats pty pwd py_compile
    pyclbr pydoc queue quopri random re reprlib resource runpy sched secrets select selectors shelve
    shlex shutil signal smtplib socket socketserver sqlite3 ssl stat statistics string stringprep
    struct subprocess symtable sys sysconfig syslog tabnanny tarfile tempfile termios textwrap
    threading time timeit token tokenize tomllib trace traceback tracemalloc tty types typing
    unicodedata unittest unittest.mock urllib.error urllib.parse urllib.request urllib.response
    urllib.robotparser uuid venv warnings wave weakref webbrowser wsgiref.handlers wsgiref.headers
    wsgiref.simple_server wsgiref.util wsgiref.validate xml.dom xml.dom.minidom xml.dom.pulldom
    xml.etree.ElementTree xml.parsers.expat xml.sax xml.sax.handler xml.sax.saxutils
    xml.sax.xmlreader xmlrpc.client xmlrpc.server zipapp zipfile zipimport zlib zoneinfo
"""
MODULES = tuple(_NAMES.split())

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_METHODS = (
    *_FUNCTIONS,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
)
_ATTRIBUTES = (property, types.GetSetDescriptorType, types.MemberDescriptorType)
_WORD = re.compile(r"[a-z][a-z0-9]+")


class Entry(NamedTuple):
    """One item of the catalogue: a function, class, method or attribute and what it says."""

    key: str
    text: str

    @property
    def headline(self) -> str:
        """The docstring's first line."""
        return " ".join(self.text.split("\n", 1)[0].split())


def standard_library(modules: Iterable[str] = MODULES) -> list[Entry]:
    """Collect what the standard library documents.

    An item is a public function or class with a docstring, or a method or public attribute with a
    docstring that its class itself defines. Special methods such as ``__len__`` count, inherited
    ones and special attributes such as ``__dict__`` do not. What two modules export is one item.

    Parameters
    ----------
    modules : iterable of str
        Modules to import and walk; those that this Python does not have are passed over.

    Returns
    -------
    list of Entry
        In the order of their keys, the same on every run of the same Python.
    """
    texts: dict[str, str] = {}
    seen: set[int] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated modules say so on import, classes when read
        for name in modules:
            try:
                module = importlib.import_module(name)
            except ImportError:  # not in this Python, or not on this system
                continue
            for member, value in _public(module):
                if id(value) not in seen:
                    seen.add(id(value))
                    texts.update(_documented(f"{name}.{member}", value))
    return [Entry(key, text) for key, text in sorted(texts.items())]


def _public(module: types.ModuleType) -> Iterator[tuple[str, object]]:
    """Yield a module's own functions and classes, from its dictionary so that nothing is run."""
    exported = getattr(module, "__all__", ())
    for name, value in list(vars(module).items()):
        if not isinstance(value, (*_FUNCTIONS, type)):
            continue
        own = value.__module__ == module.__name__ or name in exported
        if own and not name.startswith("_"):
            yield name, value


def _documented(key: str, value: object) -> Iterator[tuple[str, str]]:
    text = _text(value)
    if text:
        yield key, text
    if not isinstance(value, type):
        return
    for name, member in vars(value).items():
        special = name.startswith("__") and name.endswith("__")
        if name.startswith("_") and not special:
            continue
        wrapped = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
        kinds = _METHODS if special else (*_METHODS, *_ATTRIBUTES)
        text = _text(wrapped) if isinstance(wrapped, kinds) else ""
        if text:
            yield f"{key}.{name}", text


def _text(value: object) -> str:
    text = value.__doc__
    return inspect.cleandoc(text).strip() if isinstance(text, str) else ""


def text_vectors(texts: Iterable[str], dim: int = 64) -> NDArray[np.float32]:
    """Make vectors of texts: hashed TF-IDF of words and word pairs, reduced by a truncated SVD.

    Equal texts get equal vectors. The same texts give the same vectors on every run on a machine;
    another BLAS may round the last bits differently.

    Parameters
    ----------
    texts : iterable of str
        The texts, N of them.
    dim : int
        The dimension to reduce to.

    Returns
    -------
    ndarray of float32, shape (N, dim)
        Each of length 1; zeros for a text whose words occur nowhere else.
    """
    texts = list(texts)
    # Each text once, so that equal ones cannot differ by a rounding in the algebra.
    different = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    rows, columns, weights = _tf_idf(list(different))
    if len(rows) == 0:
        return np.zeros((len(texts), dim), dtype=np.float32)
    reduced = _reduce(rows, columns, weights, len(different), dim)
    lengths = np.linalg.norm(reduced, axis=1, keepdims=True)
    unit = np.divide(reduced, lengths, out=np.zeros_like(reduced), where=lengths > 1e-9)
    places = np.array([different[text] for text in texts])
    return np.asarray(unit[places], dtype=np.float32)


def _tf_idf(
    texts: list[str],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the non-zero entries of the matrix of texts by features: rows, columns, weights."""
    features: list[int] = []
    sizes: list[int] = []
    for text in texts:
        words = _WORD.findall(text.lower())
        pairs = [f"{one} {two}" for one, two in itertools.pairwise(words)]
        # crc32 and not hash(), which Python salts anew in each process.
        features += [zlib.crc32(term.encode()) for term in words + pairs]
        sizes.append(len(words) + len(pairs))
    owners = np.repeat(np.arange(len(texts), dtype=np.int64), sizes)
    entries, counts = np.unique(
        owners << 32 | np.array(features, dtype=np.int64), return_counts=True
    )
    _, columns, texts_with = np.unique(
        entries & 0xFFFF_FFFF, return_inverse=True, return_counts=True
    )
    # What one text alone has, or all have, says nothing of which are neighbours.
    shared = (texts_with[columns] > 1) & (texts_with[columns] < len(texts))
    rows, counts = entries[shared] >> 32, counts[shared]
    rarity = np.log((1 + len(texts)) / (1 + texts_with[columns[shared]]))
    _, columns = np.unique(columns[shared], return_inverse=True)
    weights = (1 + np.log(counts)) * rarity
    lengths = np.sqrt(np.bincount(rows, weights**2, len(texts)))
    return rows, columns, weights / lengths[rows]


def _reduce(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_rows: int,
    dim: int,
) -> NDArray[np.float64]:
    """Return the leading left singular vectors times their values (Halko, Martinsson, Tropp 2011).

    The sparse matrix is applied to one vector at a time by `bincount`, which adds in a fixed order.
    """
    n_columns = int(columns.max()) + 1

    def forward(block: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(
            [np.bincount(rows, weights * line[columns], n_rows) for line in block.T.copy()], 1
        )

    def backward(block: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(
            [np.bincount(columns, weights * line[rows], n_columns) for line in block.T.copy()], 1
        )

    guess = np.random.default_rng(0).standard_normal((n_columns, dim + 10))
    basis = _orthonormal(forward(guess))
    for _ in range(2):  # power iterations: text has singular values that fall slowly
        basis = _orthonormal(forward(backward(basis)))
    turn, values = _axes(backward(basis))
    reduced = (basis @ turn * values)[:, :dim]
    return np.pad(reduced, ((0, 0), (0, dim - reduced.shape[1])))


def _axes(block: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return right singular vectors and values, largest first, without those that are nearly 0.

    By the small matrix of inner products: a threaded QR of a tall one crawls on a busy machine.
    """
    squares, turn = np.linalg.eigh(block.T @ block)
    squares, turn = squares[::-1], turn[:, ::-1]
    kept = squares > 1e-10 * squares[0]
    return turn[:, kept], np.sqrt(squares[kept])


def _orthonormal(block: NDArray[np.float64]) -> NDArray[np.float64]:
    turn, values = _axes(block)
    return np.asarray(block @ (turn / values), dtype=np.float64)
