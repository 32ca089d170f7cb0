"""`export`: SIDs in the formats that other projects read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from puresid._formats import check_letters, write_index_json, write_npy
from puresid._torch import import_torch
from puresid.atomic import atomic_write
from puresid.formats import tables
from puresid.formats.rows import ItemSids, item_sids
from puresid.formats.tokens import TEMPLATES, TokenTemplate, as_template, token_strings

__all__ = ["SID_FORMATS", "export"]


@dataclass(frozen=True)
class _Options:
    path: Path
    format: str
    template: str | TokenTemplate | None
    first_token: int | None


Writer = Callable[[IO[bytes], ItemSids, _Options], None]


def export(
    result: Any,
    path: str | os.PathLike[str],
    *,
    format: str,
    keys: Any = None,
    titles: Sequence[str] | None = None,
    sizes: Any = None,
    template: str | TokenTemplate | None = None,
    first_token: int | None = None,
) -> None:
    """Write SIDs as another project reads them: whole files or none.

    Parameters
    ----------
    result : Assignment or array_like of int, shape (N, L)
    path : str or path
        The file; for ``"torcheasyrec-sets"`` a folder that is empty or not there.
    format : str
        - ``"index.json"`` (LC-Rec, LETTER, MiniOneRec, MIMIGenRec, GAMER)
        - ``"minionerec"``: lines ``sid, title, item_id`` with tabs between; needs `titles`
        - ``"purelysemanticids"``: ``{mode}-code-{base}.json``, rows counted from 1
        - ``"ids.txt"``: the same project's list of SIDs, one a line
        - ``"grid"`` (also NVIDIA recsys-examples): ``torch.save`` of an int64 tensor (L, N)
        - ``"torcheasyrec"``: Parquet columns ``item_id``, ``codes``
        - ``"torcheasyrec-sets"``: ``item_to_sid``, ``sid_to_items`` and ``manifest.json``
        - ``"openonerec"``: Parquet columns ``pid``, ``codes``
        - ``"openonerec-text"``, ``"rectokens"``, ``"semantic-id"``, ``"text"``: one SID a line
        - ``"nvidia"``: lines of JSON with ``item_id``, ``token_ids``, ``metadata``
        - ``"xllm"``: binary rows of one int64 and three int32
        - ``"static"``: ``.npy``, int64, in lexicographic order
        - ``"rpg"``: JSON with the tokens of each item
    keys : sequence of int or of str, optional
        Items' ids, all different. Default: 0 to N - 1. Where row i is item i (``"index.json"``,
        ``"purelysemanticids"``, ``"grid"``, lines of text) these must be 0 to N - 1 in any order.
    titles : sequence of str, optional
        For ``"minionerec"``, and as metadata for ``"nvidia"``.
    sizes : sequence of int or Codebooks, optional
        Tokens per level, for what counts all levels in one vocabulary. An Assignment knows them.
    template : str or TokenTemplate, optional
        For ``"text"`` and ``"minionerec"``: as for `token_strings`. Default: ``"lc-rec"``.
    first_token : int, optional
        For ``"nvidia"`` and ``"xllm"``: the vocabulary id of the first level's token 0; those of
        the other levels follow. By default tokens are written as they are.

    Raises
    ------
    TypeError
        If keys are neither all integers nor all text, a title is no text, or a size, the first
        token or the template is of the wrong type.
    ValueError
        If the format is not known, SIDs are no matrix of tokens, an argument is missing or means
        nothing for the format, the format cannot hold these SIDs or keys,
        or two different SIDs get the same text.
    ImportError
        If torch or pyarrow is needed and missing.
    OSError
        If the file cannot be written; what stood at `path` before is then still there.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "sids.jsonl"
    >>> export([[3, 9], [0, 1]], path, format="rpg", keys=["x", "y"])
    >>> print(path.read_text())
    {"x": [3, 9],
    "y": [0, 1]}
    <BLANKLINE>
    """
    if not isinstance(format, str) or format not in SID_FORMATS:
        raise ValueError(
            f"format is {format!r}; it must be one of {', '.join(map(repr, SID_FORMATS))}"
        )
    options = _Options(Path(os.fspath(path)), format, template, first_token)
    for name, value, meant in (
        ("template", template, ("text", "minionerec")),
        ("first_token", first_token, ("nvidia", "xllm")),
        ("titles", titles, ("minionerec", "nvidia")),
    ):
        if value is not None and format not in meant:
            raise ValueError(f"{name} means nothing for the format {format!r}")
    items = item_sids(result, keys=keys, titles=titles, sizes=sizes)
    if format == "torcheasyrec-sets":
        tables.write_sets(options.path, items)
        return
    with atomic_write(options.path) as handle:
        _WRITERS[format](handle, items, options)


def _index_json(handle: IO[bytes], items: ItemSids, options: _Options) -> None:
    check_letters(options.path, items.sids.shape[1])
    write_index_json(handle, items.by_row(options.format))


def _code_json(handle: IO[bytes], items: ItemSids, options: _Options) -> None:
    name = options.path.name
    match = re.fullmatch(r"(.+)-code(?:-.+)?\.json", name)
    if match is None:
        raise ValueError(
            f"{name!r} is no name that its scripts look for: {{mode}}-code-{{base}}.json"
        )
    pair = items.duplicate()
    if pair is None and "noconflict" not in match[1]:
        raise ValueError(
            f"{name!r} needs 'noconflict' in its mode, such as 'rqvae-noconflict-code-….json': "
            "without it the scripts append a digit to each SID"
        )
    if pair is not None and "noconflict" in match[1]:
        raise ValueError(f"{name!r} says 'noconflict', but {_shared(items, pair)}")
    rows = token_strings(items.by_row(options.format), TokenTemplate("{token}", separator=","))
    lines = [f'"{number}": "{row}"' for number, row in enumerate(rows, start=1)]
    handle.write(("{\n" + ",\n".join(lines) + "\n}\n").encode())


def _text(handle: IO[bytes], items: ItemSids, options: _Options) -> None:
    default = TEXT_TEMPLATES[options.format]
    template = default if options.template is None else options.template
    lines = _texts(items.by_row(options.format), template)
    for row, line in enumerate(lines):
        if "\n" in line or "\r" in line:
            raise ValueError(f"the text of row {row} is {line!r}; a line break would end its line")
    handle.write("".join(f"{line}\n" for line in lines).encode())


def _texts(sids: Any, template: str | TokenTemplate) -> list[str]:
    """Return each SID's text, where different SIDs have different ones.

    Raises
    ------
    ValueError
        If two of them have the same (naming their rows).
    """
    texts = token_strings(sids, template)
    if as_template(template) in TEMPLATES.values():  # these tell any two SIDs apart
        return texts
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        other = first.setdefault(text, row)
        if other != row and (sids[other] != sids[row]).any():
            raise ValueError(
                f"rows {other} and {row} have the SIDs {tuple(sids[other].tolist())} and "
                f"{tuple(sids[row].tolist())}, and both the text {text!r}; the template "
                f"{as_template(template).token!r} needs something between tokens, such as "
                "'<{letter}_{token}>'"
            )
    return texts


def _minionerec(handle: IO[bytes], items: ItemSids, options: _Options) -> None:
    if items.titles is None:
        raise ValueError("the format 'minionerec' has a title in each line; pass titles")
    sids = _texts(items.sids, "lc-rec" if options.template is None else options.template)
    fields = {"titles": items.titles, "keys": items.names}
    for name, texts in ({"the text of row": sids} | fields).items():
        for row, text in enumerate(texts):
            if re.search(r"[\t\r\n]", text):
                place = f"{name}[{row}]" if name in fields else f"{name} {row}"
                raise ValueError(f"{place} is {text!r}; a tab or line break would end its field")
    rows = zip(sids, items.titles, items.names, strict=True)
    handle.write("".join("\t".join(row) + "\n" for row in rows).encode())


def _grid(handle: IO[bytes], items: ItemSids, options: _Options) -> None:
    torch = import_torch("the format 'grid'")
    columns = np.ascontiguousarray(items.by_row(options.format).T.astype(np.int64))
    torch.save(torch.from_numpy(columns), handle)


def _torcheasyrec(handle: IO[bytes], items: ItemSids, options: _Options) -> None:
    tables.write_columns(handle, {"item_id": items.keys, "codes": items.sids})


def _openonerec(handle: IO[bytes], items: ItemSids, options: _Options) -> None:
    keys = items.integers(options.format)
    tables.write_columns(handle, {"pid": keys, "codes": items.sids})


def _nvidia(handle: IO[bytes], items: ItemSids, options: _Options) -> None:
    pair = items.duplicate()
    if pair is not None:
        raise ValueError(f"the format 'nvidia' takes no SID twice; {_shared(items, pair)}")
    # A list of integers is written alike by Python and in JSON; encoding row by row takes longer.
    tokens = map(str, items.token_ids(options.format, options.first_token).tolist())
    keys = map(_quoted, items.keys) if isinstance(items.keys, list) else items.names
    described = [f'{{"title": {_quoted(title)}}}' for title in items.titles or ()]
    rows = zip(keys, tokens, described or ["{}"] * len(items), strict=True)
    lines = [f'{{"item_id": {k}, "token_ids": {t}, "metadata": {m}}}\n' for k, t, m in rows]
    handle.write("".join(lines).encode())


def _xllm(handle: IO[bytes], items: ItemSids, options: _Options) -> None:
    if items.sids.shape[1] != 3:
        raise ValueError(f"the format 'xllm' has 3 tokens an item; SIDs have {items.sids.shape[1]}")
    tokens = items.token_ids(options.format, options.first_token)
    if tokens.size and int(tokens.max()) > np.iinfo(np.int32).max:
        raise ValueError(f"the format 'xllm' has tokens of 31 bits; {int(tokens.max())} is beyond")
    rows = np.empty(len(items), XLLM_ROW)
    rows["item"], rows["tokens"] = items.integers(options.format), tokens
    handle.write(rows.tobytes())


def _static(handle: IO[bytes], items: ItemSids, options: _Options) -> None:
    order = np.lexsort(items.sids.T[::-1])
    write_npy(handle, items.sids[order].astype(np.int64))


def _rpg(handle: IO[bytes], items: ItemSids, options: _Options) -> None:
    rows = zip(map(_quoted, items.names), items.sids.tolist(), strict=True)
    lines = [f"{key}: {row}" for key, row in rows]
    handle.write(("{" + ",\n".join(lines) + "}\n").encode())


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _shared(items: ItemSids, pair: tuple[int, int]) -> str:
    first, second = pair
    sid = tuple(items.sids[first].tolist())
    return f"items {items.names[first]} and {items.names[second]} share {sid}"


XLLM_ROW = np.dtype([("item", "=i8"), ("tokens", "=i4", (3,))])

TEXT_TEMPLATES = {
    "ids.txt": "lmindexer",
    "openonerec-text": "openonerec",
    "rectokens": "rectokens",
    "semantic-id": "semantic-id",
    "text": "lc-rec",
}

_WRITERS: dict[str, Writer] = {
    "index.json": _index_json,
    "minionerec": _minionerec,
    "purelysemanticids": _code_json,
    "grid": _grid,
    "torcheasyrec": _torcheasyrec,
    "openonerec": _openonerec,
    **dict.fromkeys(TEXT_TEMPLATES, _text),
    "nvidia": _nvidia,
    "xllm": _xllm,
    "static": _static,
    "rpg": _rpg,
}

SID_FORMATS = (*_WRITERS, "torcheasyrec-sets")
