"""Reads a page back: its elements, and the items in its data, by code of its own."""

import base64
import functools
import json
import zlib
from html.parser import HTMLParser

import numpy as np

import puresid

SIZES = (8, 4, 8)
VOID = {"meta", "link", "input", "br"}


@functools.cache
def small_catalogue():
    """Return 200 vectors, many of them equal, and codebooks of 256 SIDs."""
    vectors = np.random.default_rng(0).integers(-2, 3, (200, 4)).astype(np.float32)
    return vectors, puresid.RQKMeans(3, SIZES).fit(vectors).codebooks


class Page(HTMLParser):
    """The elements of a page. Raises where a tag is closed that is not the innermost open one."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open = []
        self.elements = []  # [tag, attributes, own text]
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        self.elements.append([tag, dict(attrs), ""])
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> without a beginning"
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open:
            self.open[-1][2] += data

    def all(self, tag):
        return [element for element in self.elements if element[0] == tag]

    def text(self):
        """Return what a reader sees, scripts and styles left out."""
        return " ".join(text for tag, _, text in self.elements if tag not in ("script", "style"))

    def data(self):
        """Return the JSON."""
        (text,) = [text for _, about, text in self.all("script") if "id" in about]
        return json.loads(text)


def numbers(packed):
    """Unpack whole numbers."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), np.uint8)
    planes = planes.reshape(packed["bytes"], packed["count"]).astype(np.int64)
    return sum(plane << 8 * place for place, plane in enumerate(planes))


def lines(packed):
    """Unpack strings."""
    if packed is None:
        return None
    found = zlib.decompress(base64.b64decode(packed["data"])).decode().split("\n")
    assert len(found) == packed["count"]
    return found


def distances(packed):
    """Unpack distances."""
    codes = numbers(packed)
    found = packed["low"] * (packed["high"] / packed["low"]) ** ((codes - 1) / 65534)
    return np.where(codes == 0, 0, found)


def items_of(page):
    """Return the listed items by row."""
    data = page.data()["items"]
    rows = numbers(data["rows"]).tolist()
    stages = numbers(data["stages"]) - 1
    found = {
        "sids": np.stack([numbers(column) for column in data["tokens"]], axis=1),
        "stages": stages,
        "distortion": distances(data["distortion"]),
        "keys": lines(data["keys"]),
        "texts": lines(data["texts"]),
    }
    back = np.argsort(rows)
    by_row = {
        name: None if values is None else [values[place] for place in back]
        for name, values in found.items()
    }
    nearest = np.stack([numbers(column) for column in data["nearest"]], axis=1)
    moved = [row for row, stage in zip(rows, stages, strict=True) if stage > 0]
    return by_row | {"rows": rows, "nearest": dict(zip(moved, nearest.tolist(), strict=True))}
