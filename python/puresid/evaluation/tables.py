"""Results as tables of text, with what a reader must know beside the numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from puresid.evaluation.results import ALL, Results
from puresid.evaluation.statistics import Analysis, Comparison, analyse
from puresid.judging.results import Interval

__all__ = ["Section", "Table", "conflict_rate", "markdown", "overview", "sections"]

NONE = "n/a"

WORDS = frozenset({"run", "primary", "arm", "metric", "split"})
"""Heads of columns that hold words; all others hold numbers."""


@dataclass(frozen=True)
class Table:
    """Cells of text.

    Attributes
    ----------
    title, caption : str
    head : tuple of str
    rows : tuple of tuple of str
        As long as the head.
    """

    title: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """What is said of one run.

    Attributes
    ----------
    title : str
    primary : str
        The outcome of the comparison that was chosen before the run.
    notes : tuple of (str, str)
        What it is about, and what is said.
    tables : tuple of Table
    """

    title: str
    primary: str
    notes: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]


def markdown(results_list: Iterable[Results], *, resamples: int = 9999, seed: int = 0) -> str:
    """Write the tables of several runs as Markdown.

    Parameters
    ----------
    results_list : iterable of Results
    resamples, seed : int
        Of intervals and tests.

    Returns
    -------
    str

    Raises
    ------
    ImportError
        statsmodels is not installed.
    ValueError
        There are no results.
    """
    analyses = [analyse(one, resamples=resamples, seed=seed) for one in results_list]
    if not analyses:
        raise ValueError("there are no results to make tables of")
    lines: list[str] = []
    if len(analyses) > 1:
        lines += _table_lines(overview(analyses))
    for section in sections(analyses):
        lines += [f"## {section.title}", "", f"**{section.primary}**", ""]
        lines += [f"- {topic}: {text}" for topic, text in section.notes]
        lines.append("")
        for table in section.tables:
            lines += _table_lines(table)
    return "\n".join(lines).rstrip() + "\n"


def sections(analyses: Iterable[Analysis]) -> list[Section]:
    """Say what there is to say of each run."""
    return [
        Section(
            title=analysis.results.header["name"],
            primary=_primary_sentence(analysis),
            notes=tuple(_notes(analysis)),
            tables=tuple(_tables(analysis)),
        )
        for analysis in analyses
    ]


def overview(analyses: Sequence[Analysis]) -> Table:
    """Put the primary comparisons of several runs side by side."""
    rows = []
    for analysis in analyses:
        results = analysis.results
        primary = results.header["primary"]
        found = analysis.comparison(primary["arm"], primary["metric"])
        rate = conflict_rate(results)
        rows.append(
            (
                results.header["name"],
                f"{primary['metric']}, {primary['arm']} against {primary['against']}",
                f"{results.queries:,}",
                f"{results.users:,}",
                NONE if found is None else f"{len(found.seeds)}",
                NONE if rate is None else f"{rate:.1%}",
                *_compared(found),
            )
        )
    return Table(
        "Primary comparisons",
        "Of each run the one comparison that was written down before it; p is of a single test, "
        "Holm p corrected for all arms of that run. Runs are not corrected for one another.",
        ("run", "primary", "queries", "users", "seeds", "conflicts", *_COMPARED),
        tuple(rows),
    )


def conflict_rate(results: Results) -> float | None:
    """Return the share of items whose nearest SID has another owner, None if it is not known.

    It is ``header["task"]["conflict_rate"]``, or else the largest that an arm names.
    """
    named = [results.header.get("task", {}).get("conflict_rate")]
    named += [facts.get("conflict_rate") for facts in results.header.get("arms", {}).values()]
    rates = [float(rate) for rate in named if _is_number(rate)]
    if _is_number(named[0]):
        return rates[0]
    return max(rates, default=0.0) or None


def _primary_sentence(analysis: Analysis) -> str:
    results = analysis.results
    primary = results.header["primary"]
    metric, arm, against = primary["metric"], primary["arm"], primary["against"]
    found = analysis.comparison(arm, metric)
    chosen = f"Primary, chosen before the run: {metric}, {arm} against {against}, all queries"
    if found is None or math.isnan(found.difference.value):
        missing = [name for name in (arm, against) if name not in results.arms]
        why = f"are no results of {' and '.join(missing)}" if missing else "is no seed of both"
        return f"{chosen}. It cannot be said: there {why}."
    return (
        f"{chosen}. {_number(found.mean)} against {_number(found.mean_against)}: difference "
        f"{_signed(found.difference.value)}, 95 % interval {_signed(found.difference.low)} to "
        f"{_signed(found.difference.high)}, p {_p(found.p)}, "
        f"Holm p {_p(found.p_holm)}; {_count(len(found.seeds), 'seed')}."
    )


def _notes(analysis: Analysis) -> Iterable[tuple[str, str]]:
    results = analysis.results
    config = results.header.get("config", {})
    seeds = {arm: results.seeds(arm) for arm in results.arms}
    if len(set(seeds.values())) == 1:
        all_seeds = next(iter(seeds.values()))
        said = f"{len(all_seeds)} ({', '.join(map(str, all_seeds))}), the same for every arm"
    else:
        said = "; ".join(f"{arm} {', '.join(map(str, own))}" for arm, own in seeds.items())
        said += ". Differences are over the seeds that both arms have"
    yield "Seeds", f"{said}."
    per_seed = _by_seed(results)
    if per_seed:
        yield "By seed", f"the primary difference is {', '.join(map(_signed, per_seed))}."
    limit = config.get("task", {}).get("limit_queries", 0)
    only = f" Only the first {limit:,} queries of the task were asked." if limit else ""
    yield "Queries", f"{results.queries:,} of {_count(results.users, 'user')}.{only}"
    yield "Decoding", _decoding(config.get("decoding", {}))
    yield (
        "Intervals and p",
        "95 % percentile intervals by bootstrap and two-sided p by random signs, both over users "
        f"({analysis.resamples:,} resamples), of values averaged over the seeds. They cover "
        "other users of the same kind; they do not cover other seeds of training, other seeds of "
        "the quantizer (one was fitted, and all arms share it) or other data.",
    )
    others = max(len(results.arms) - 1, 0)
    yield (
        "Several tests",
        f"Holm p is corrected for {_count(others, 'arm')} by the same metric on the same split. "
        "Nothing is corrected for the number of metrics and splits: apart from the primary "
        "comparison, they explore.",
    )
    yield (
        "Scoring",
        "By item: an item on a SID that others share counts as its expected hit over a random "
        "order of theirs; a query without a result counts as 0.",
    )
    for note in results.header.get("task", {}).get("notes", ()):
        yield "Task", str(note)


def _by_seed(results: Results) -> list[float]:
    metric, *arms = (results.header["primary"][key] for key in ("metric", "arm", "against"))
    common = sorted(set(results.seeds(arms[0])) & set(results.seeds(arms[1])))
    figures = [[results.cell(arm, seed).values[metric] for arm in arms] for seed in common]
    return [float(np.mean(mine - other, dtype=np.float64)) for mine, other in figures]


def _decoding(options: Mapping[str, Any]) -> str:
    if not options:
        return "the rule and the beams were not recorded."
    if options.get("exact"):
        return f"every SID scored, normalised over the {options.get('normalize', 'vocabulary')}."
    beams, over = options.get("beams", "?"), options.get("normalize", "?")
    return f"{beams} beams over the existing SIDs, normalised over the {over}."


def _tables(analysis: Analysis) -> Iterable[Table]:
    results = analysis.results
    primary = results.header["primary"]
    against, metric = primary["against"], primary["metric"]
    yield Table(
        "Means",
        "All queries, averaged over seeds, with the interval over users.",
        ("arm", *results.metrics),
        tuple(
            (arm, *(_interval(analysis, arm, name) for name in results.metrics))
            for arm in results.arms
        ),
    )
    yield Table(
        f"{metric} by split",
        f"Against {against}. A split holds the same queries for every arm.",
        ("split", "queries", "arm", *_COMPARED),
        tuple(
            (found.split, f"{found.queries:,}", found.arm, *_compared(found))
            for found in analysis.comparisons
            if found.metric == metric
        ),
    )
    yield Table(
        "Every metric",
        f"Against {against}, all queries.",
        ("metric", "arm", *_COMPARED),
        tuple(
            (name, found.arm, *_compared(found))
            for name in results.metrics
            for found in analysis.comparisons
            if (found.metric, found.split) == (name, ALL)
        ),
    )
    yield _facts_table(results)


def _facts_table(results: Results) -> Table:
    """Lay out what the header says of arms, and what cells say, averaged over seeds."""
    arms = results.header.get("arms", {})
    named = list(dict.fromkeys(key for arm in results.arms for key in arms.get(arm, {})))
    measured = list(
        dict.fromkeys(
            key for cell in results.cells for key, value in cell.facts.items() if _is_number(value)
        )
    )
    rows = []
    for arm in results.arms:
        facts = [_fact(arms.get(arm, {}).get(key), share=key.endswith("_rate")) for key in named]
        for key in measured:
            values = [cell.facts.get(key) for cell in results.cells if cell.arm == arm]
            there = [float(value) for value in values if _is_number(value)]
            facts.append(_fact(sum(there) / len(there)) if there else NONE)
        rows.append((arm, *facts))
    head = tuple(key.replace("_", " ") for key in (*named, *measured))
    return Table(
        "Arms",
        "What each arm's SIDs are, and what its runs took: means over seeds.",
        ("arm", *head),
        tuple(rows),
    )


_COMPARED = ("mean", "against", "difference", "95 % interval", "p", "Holm p")


def _compared(found: Comparison | None) -> tuple[str, ...]:
    if found is None or math.isnan(found.difference.value):
        return (NONE,) * len(_COMPARED)
    difference = found.difference
    return (
        _number(found.mean),
        _number(found.mean_against),
        _signed(difference.value),
        f"{_signed(difference.low)} to {_signed(difference.high)}",
        _p(found.p),
        _p(found.p_holm),
    )


def _interval(analysis: Analysis, arm: str, metric: str) -> str:
    found = analysis.mean(arm, metric)
    value = Interval(math.nan, math.nan, math.nan) if found is None else found.value
    if math.isnan(value.value):
        return NONE
    return f"{_number(value.value)} ({_number(value.low)} to {_number(value.high)})"


def _number(value: float) -> str:
    return f"{value:.4f}"


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "\N{MINUS SIGN}")


def _p(value: float) -> str:
    return NONE if math.isnan(value) else f"{value:.4f}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _fact(value: Any, *, share: bool = False) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " × ".join(_fact(entry) for entry in value)  # noqa: RUF001 (sizes are multiplied)
    if share and _is_number(value):
        return f"{value:.1%}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table_lines(table: Table) -> list[str]:
    if not table.rows:
        return [f"### {table.title}", "", "Nothing to compare.", ""]
    rows = [[_cell(text) for text in row] for row in (table.head, *table.rows)]
    marks = ["---" if name in WORDS else "---:" for name in table.head]
    lines = ["| " + " | ".join(row) + " |" for row in (rows[0], marks, *rows[1:])]
    return [f"### {table.title}", "", table.caption, "", *lines, ""]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
