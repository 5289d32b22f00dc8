"""
How many instructions one message costs the whole process: a gate against losing speed bit by bit.

    python -m bench.instructions [--count N] [--scenario NAME]

Counted by Valgrind's callgrind: all threads, user mode only, from the moment a warmed-up server gets its load until the sink
has all of it. A count says nothing of the kernel, of caches or of waiting; but it hardly depends on what else the machine does
and so shows a loss of a few per cent, which no rate on a shared machine does. Exit status 1 where a limit is passed. The
profile stays in bench/out/ for callgrind_annotate(1).
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from bench.contestants import pymta_configuration
from bench.processes import end, find_program, wait_listening
from bench.relay import OUT, PYMTA, SCENARIOS, Scenario, SmtpSink, load_command, wait_all_arrived

WARM_UP = 300
COUNT = 600
START_S_MAX = 120

# What a message may cost: a tenth above what was measured with the extension as `make develop` builds it (Python 3.11). Who
# passes one has made something slower, or says here why it is worth it.
INSTRUCTIONS_MAX = {"kept-open": 433_000, "new": 554_000, "large": 938_000}


def instructions_per_message(scenario: Scenario, count: int, folder: Path) -> float:
    """Send *count* messages through a server under callgrind; its data is in *folder*."""
    folder.chmod(0o755)  # the sink runs as nobody
    sink = SmtpSink(folder)
    text, port = pymta_configuration(folder, sink.port)
    configuration = folder / "pymta.toml"
    configuration.write_text(text, encoding="utf-8")
    profile = OUT / f"callgrind.{scenario.name}"
    callgrind = ["--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={profile}"]
    with (folder / "output").open("wb") as output:
        server = subprocess.Popen(
            [find_program("valgrind"), *callgrind, *PYMTA, "serve", "--config", configuration],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    try:
        wait_listening(port, server, limit_s=START_S_MAX)
        _send(scenario, WARM_UP, port, sink)
        _switch("on", server.pid)
        _send(scenario, count, port, sink)
        _switch("off", server.pid)
    finally:
        end(server)
        sink.stop()
    total = re.search(r"^totals: (\d+)", profile.read_text(encoding="utf-8"), re.MULTILINE)
    if total is None:
        raise SystemExit(f"{profile} has no total")
    return int(total[1]) / count


def _send(scenario: Scenario, count: int, port: int, sink: SmtpSink) -> None:
    before = sink.count()
    subprocess.run(load_command("postfix", scenario, count, port), check=True, timeout=120)
    wait_all_arrived(sink, before + count, "pymta")


def _switch(state: str, pid: int) -> None:
    subprocess.run(
        [find_program("callgrind_control"), "-i", state, str(pid)],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=60,
    )


@click.command(help=__doc__)
@click.option("--count", default=COUNT, help="Messages that are counted.")
@click.option("--scenario", "only", type=click.Choice(list(INSTRUCTIONS_MAX)), help="Only this one.")
def main(count: int, only: str | None) -> None:
    OUT.mkdir(exist_ok=True)
    is_kept = True
    for name, instructions_max in INSTRUCTIONS_MAX.items():
        if only in (None, name):
            with tempfile.TemporaryDirectory(prefix="pymta-instructions-") as folder:
                counted = instructions_per_message(SCENARIOS[name], count, Path(folder))
            click.echo(f"{name:10} {counted:10,.0f} instructions a message, at most {instructions_max:,}")
            is_kept = is_kept and counted <= instructions_max
    sys.exit(0 if is_kept else 1)


if __name__ == "__main__":
    main()
