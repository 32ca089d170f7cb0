"""`python -m bench`: the table of the README, from one run."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench.cases import CASES, select

ROUNDS = 5
QUICK_ROUNDS = 2


def at_least_one(text: str) -> int:
    """A number of threads."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return int(text)


def usable_cpus() -> int:
    """As many as this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few items: shows that all runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole record")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    parser.add_argument(
        "--cases",
        nargs="+",
        metavar="NAME",
        choices=[case.name for case in CASES],
        help="only these: " + ", ".join(case.name for case in CASES),
    )
    parser.add_argument(
        "--threads",
        type=at_least_one,
        default=usable_cpus(),
        metavar="N",
        help="for every method (default: as many as the process may use)",
    )
    return parser.parse_args(argv)


def hold_threads(threads: int) -> None:
    """BLAS libraries read these once, as they load: so before numpy is imported."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)


def main(argv: list[str] | None = None) -> int:
    """Runs the cases, prints the table; 1 where a check of the answers failed."""
    options = arguments(argv)
    hold_threads(options.threads)
    from bench import compare, data, results

    made = results.provenance(options.threads)
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    reports, skipped = [], []
    for case in select(options.cases):
        if reason := data.missing(case):
            skipped.append(results.Skipped(case.name, case.name, reason))
            continue
        chosen = case.quick() if options.quick else case

        def log(line: str, name: str = case.name) -> None:
            print(f"{name}: {line}", file=sys.stderr, flush=True)

        reports.append(compare.run_case(chosen, threads=options.threads, rounds=rounds, log=log))
    report = results.Report(
        provenance=made,
        quick=options.quick,
        rounds=rounds,
        cases=tuple(reports),
        skipped=tuple(skipped),
    )
    table = results.markdown(report)
    print(table, end="")
    if options.json:
        results.write_json(report, options.json)
    if options.markdown:
        options.markdown.write_text(table)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
