"""The blocks in which Parsl's workers run: one job of a queue on one node each, or processes of this machine."""

import contextlib
import math
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import psutil

from amorph.machine.processors import own_cores

_SUBMIT: Final = {"slurm": "sbatch", "pbs": "qsub", "lsf": "bsub"}
"""The program that each queue takes jobs by."""

# A driver that is killed takes Parsl's interchange with it (leash.py); its pools of workers miss their heartbeat and
# end, their members write their checkpoints: all in less than a minute.
_HEARTBEAT_S: Final = 5
_HEARTBEAT_LOST_S: Final = 30
_MOST_FAILED_BLOCKS: Final = 3


def check_blocks(chosen: Mapping[str, Any], directory: Path) -> None:
    """Check the table [parsl] against the machine at hand.

    Raises
    ------
    ValueError
        What is asked for cannot be had.
    """
    provider, workers, cores = chosen["provider"], chosen["workers"], chosen["cores_per_worker"]
    if chosen["gpus"] and workers > chosen["gpus"]:
        raise ValueError(
            f"parsl.workers = {workers} with gpus = {chosen['gpus']}: each worker has a GPU of its own; "
            f"give at most {chosen['gpus']} workers"
        )
    if shlex.quote(str(directory)) != str(directory):
        raise ValueError(f"{directory}: Parsl's scripts take no path with blanks or quotes; give another --dir")
    if provider == "local":
        for name in ("blocks", "queue", "account", "directives"):
            if chosen[name] and chosen[name] != 1:
                raise ValueError(f"parsl.{name} = {chosen[name]!r} is for a queue; name the provider, or leave it out")
        if workers * cores > (here := len(own_cores())):
            raise ValueError(
                f"parsl.workers = {workers} of cores_per_worker = {cores} need {workers * cores} cores and {here} are "
                "here; give fewer"
            )
        return
    if _seconds(chosen) <= 2 * chosen["seconds_to_stop"]:
        raise ValueError(
            f"parsl.walltime_hours = {chosen['walltime_hours']:g} h is no more than twice seconds_to_stop = "
            f"{chosen['seconds_to_stop']} s: no member would begin; give more time"
        )
    if shutil.which(_SUBMIT[provider]) is None:
        raise ValueError(
            f"there is no {_SUBMIT[provider]} on this machine for parsl.provider = {provider!r}; start it where jobs "
            "are submitted"
        )


def configuration(chosen: Mapping[str, Any], directory: Path, missing: int) -> Any:
    """Configure Parsl for the members that are missing."""
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD

    # By their modules: a script's name is found only where the virtual environment is activated.
    modules, python = "parsl.executors.high_throughput", shlex.quote(sys.executable)
    pool = f"{python} -P -m amorph.ensemble.engines.leash 0 {python} -P -m {modules}.process_worker_pool"
    interchange = [sys.executable, "-P", "-m", f"{modules}.interchange"]
    leash = [sys.executable, "-P", "-m", "amorph.ensemble.engines.leash", str(os.getpid())]
    queued = chosen["provider"] != "local"
    executor = HighThroughputExecutor(
        label="amorph",
        provider=block_provider(chosen, min(chosen["blocks"], math.ceil(missing / chosen["workers"]))),
        launch_cmd=DEFAULT_LAUNCH_CMD.replace("process_worker_pool.py", pool, 1),
        interchange_launch_cmd=[*leash, *interchange],
        address="127.0.0.1",
        cores_per_worker=chosen["cores_per_worker"],
        max_workers_per_node=chosen["workers"],
        available_accelerators=chosen["gpus"],
        heartbeat_period=_HEARTBEAT_S,
        heartbeat_threshold=_HEARTBEAT_LOST_S,
        drain_period=_seconds(chosen) - 2 * chosen["seconds_to_stop"] if queued else None,
        block_error_handler=give_up_on_blocks,
    )
    executor.scale_in = _spare_waiting_blocks(executor.scale_in)
    if queued:  # listen everywhere; Parsl's own search for addresses would ask a web site
        executor.address, executor.all_addresses = None, _addresses()
    return Config(
        executors=[executor],
        strategy="htex_auto_scale",
        run_dir=str(directory / "parsl"),
        initialize_logging=False,  # it writes what it polls, 20 MB a day
    )


def _seconds(chosen: Mapping[str, Any]) -> int:
    """Walltime of a block in whole minutes, which queues count and Parsl rounds down to [s]."""
    return 60 * int(60 * chosen["walltime_hours"])


def _spare_waiting_blocks(scale_in: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """Mend Parsl's way to end idle blocks: where it wants to end none, it ends all that have not reported yet."""

    def mended(blocks: int, max_idletime: float | None = None) -> list[str]:
        return scale_in(blocks, max_idletime) if blocks else []

    return mended


def block_provider(chosen: Mapping[str, Any], blocks: int) -> Any:
    """Make what starts a block, as many as are given at a time."""
    from parsl import providers

    cores = chosen["workers"] * chosen["cores_per_worker"]
    gpus, directives = chosen["gpus"], "\n".join(chosen["directives"])
    seconds = _seconds(chosen)
    setup = [f"cd {shlex.quote(str(Path.cwd()))}", *chosen["setup"]]
    scaling = {"init_blocks": 0, "min_blocks": 0, "max_blocks": blocks}
    if chosen["provider"] == "local":
        return providers.LocalProvider(worker_init="\n".join(setup), **scaling)
    # Before the user's lines, which may take their time.
    setup.insert(0, f"export AMORPH_BLOCK_END=$(( $(date +%s) + {seconds - chosen['seconds_to_stop']} ))")
    common = {
        "worker_init": "\n".join(setup),
        "walltime": f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}",
        "cmd_timeout": 60,
        **scaling,
    }
    queue, account = chosen["queue"] or None, chosen["account"] or None
    if chosen["provider"] == "slurm":
        return providers.SlurmProvider(
            partition=queue,
            account=account,
            cores_per_node=cores,
            gpus_per_node=gpus or None,
            scheduler_options=directives,
            exclusive=False,
            **common,
        )
    if chosen["provider"] == "pbs":
        return providers.PBSProProvider(
            queue=queue,
            account=account,
            cpus_per_node=cores,
            select_options=f"ngpus={gpus}" if gpus else "",
            scheduler_options=directives,
            **common,
        )
    return providers.LSFProvider(
        queue=queue,
        project=account,
        request_by_nodes=False,
        cores_per_block=cores,
        cores_per_node=cores,
        scheduler_options="\n".join([*chosen["directives"], *([f"#BSUB -gpu num={gpus}"] if gpus else [])]),
        bsub_redirection=True,  # bsub reads the lines #BSUB from its input only
        **common,
    )


def give_up_on_blocks(executor: Any, status: Mapping[str, Any]) -> None:
    """End the driver when the last blocks all ended before a worker of them had been heard of."""
    from parsl.jobs.states import JobState

    latest = sorted(status, key=int)[-_MOST_FAILED_BLOCKS:]
    heard_of = set(executor.connected_blocks())
    ended = [
        block
        for block in latest
        if block not in heard_of and status[block].state in (JobState.FAILED, JobState.MISSING, JobState.TIMEOUT)
    ]
    if len(ended) == _MOST_FAILED_BLOCKS:
        last = status[latest[-1]]
        words = last.stderr_summary or last.message or "nothing"
        said = " ".join(words.split())[-300:]
        executor.set_bad_state_and_fail_all(
            RuntimeError(
                f"{_MOST_FAILED_BLOCKS} blocks ended before their workers had begun; the last said: {said}; see "
                f"{executor.run_dir}/submit_scripts, and mend [parsl]"
            )
        )


def _addresses() -> set[str]:
    """List the addresses by which workers may reach this machine."""
    interfaces = [entry for entries in psutil.net_if_addrs().values() for entry in entries]
    found = {entry.address for entry in interfaces if entry.family is socket.AF_INET}
    with contextlib.suppress(OSError):  # a machine whose name is not known
        found.add(socket.gethostbyname(socket.gethostname()))
    return found
