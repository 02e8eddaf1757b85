"""Every speed claim about grids, volumes, surfaces and files, row by row.

Run ``python benchmarks/grids.py`` on a quiet machine: each row is the same work by amorph and by a named peer,
alternating in one process; the ratio is the median over the rounds. It takes the packages of
``pip install -e '.[test,benchmarks]'``. Name topics to run a part: ``python benchmarks/grids.py bvs files``.
"""

import argparse
import importlib
import platform

from timing import show

TOPICS = ("bvs", "distance", "voronoi", "surfaces", "files", "percolation", "bvse", "voids")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=" ".join(TOPICS))
    parser.add_argument("--quick", action="store_true", help="small work, once: to see that it runs")
    arguments = parser.parse_args()
    if unknown := set(arguments.topics) - set(TOPICS):
        parser.error(f"unknown topic {', '.join(unknown)}; there are {', '.join(TOPICS)}")
    print(platform.processor() or platform.machine())
    for topic in arguments.topics or TOPICS:
        print(f"\n{topic}", flush=True)
        show(importlib.import_module(f"grid_{topic}").rows(quick=arguments.quick))


if __name__ == "__main__":
    main()
