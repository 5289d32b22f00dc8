"""
Hours of mixed traffic with reloads, and then with kills: memory and descriptors stay flat, and all that was taken goes out.

PYMTA_SOAK_S says how long the first part takes, in seconds; 7,200 where it does not.
"""

import os
import sys
import threading
import time
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from typing import NamedTuple

import pytest

from tests.partners.ca import CertificateAuthority
from tests.partners.ports import free_port
from tests.partners.program import Program
from tests.partners.pymta import PYTHON, Pymta, next_hop
from tests.partners.waiting import wait_until
from tests.soak.traffic import LOADS, POLICY, Traffic

SOAK_S = int(os.environ.get("PYMTA_SOAK_S", "7200"))
SAMPLE_S, RELOAD_EVERY_SAMPLES = 1.0, 20
KILLS = 10
# Caches fill up, arenas of the allocator settle; a leak of a hundred octets a message would show.
GROWTH_OCTETS_MAX = 8 << 20
GROWTH_DESCRIPTORS_MAX = 15


class Sample(NamedTuple):
    """Of the server's process at one moment."""

    memory_octets: int
    descriptors: int


def sample(server: Pymta) -> Sample:
    return Sample(server.memory_octets(), sum(1 for _ in Path(f"/proc/{server.pid}/fd").iterdir()))


def watch(server: Pymta, soak_s: int) -> list[Sample]:
    """A sample a second, and a reload now and then."""
    samples: list[Sample] = []
    clock = threading.Event()  # never set: time itself is what is tried here
    over_s = time.monotonic() + soak_s
    while time.monotonic() < over_s:
        clock.wait(SAMPLE_S)
        samples.append(sample(server))
        if len(samples) % RELOAD_EVERY_SAMPLES == 0:
            server.rotate_log()
    return samples


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_memory_and_descriptors_stay_flat_and_all_that_was_taken_goes_out(tmp_path: Path) -> None:
    issued = CertificateAuthority(tmp_path).issue("mail.example.test")
    sink_port = free_port()
    sink = Program(
        sys.executable, "-m", "pymta", "sink", f"127.0.0.1:{sink_port}",
        "--deferred", "0.02", "--slow", "0.02", "--slow-for", "0.5", "--tls", "starttls",
        output=tmp_path / "sink", environment={"PYTHONPATH": str(PYTHON)},
    )  # fmt: skip
    try:
        sink.wait_listening(sink_port)
        with Pymta(
            tmp_path / "server",
            routes=[next_hop(sink_port, tls="opportunistic")],
            listener={
                "tls": "starttls",
                "certificate_file": issued.certificate_file,
                "key_file": issued.key_file,
            },
            policy=POLICY,
            queue={"retry_s_min": 1, "retry_s_max": 3},
        ) as server:
            soak(server, tmp_path)
    finally:
        sink.stop()


def came(traffic: Traffic, peers: int) -> bool:
    return traffic.peers > peers


def soak(server: Pymta, folder: Path) -> None:
    with Traffic(server, folder, Random(1)) as traffic:
        samples = watch(server, SOAK_S)
    assert traffic.rounds > SOAK_S / 60 * len(LOADS), "the loads did not run"
    fifth = len(samples) // 5
    early, late = samples[fifth : 2 * fifth], samples[-fifth:]
    for name, growth_max in (("memory_octets", GROWTH_OCTETS_MAX), ("descriptors", GROWTH_DESCRIPTORS_MAX)):
        tenth = max(len(samples) // 10, 1)
        course = [
            median(getattr(one, name) for one in samples[at : at + tenth])
            for at in range(0, len(samples), tenth)
        ]
        print(name, "by tenths:", *(f"{value:.0f}" for value in course))
        before, after = (median(getattr(one, name) for one in part) for part in (early, late))
        print(f"{name}: {before:.0f} in the second fifth, {after:.0f} in the last")
        assert after <= before + growth_max, name
    print(f"{traffic.rounds} rounds of load, {traffic.peers} awkward peers in {SOAK_S} s")
    wait_until(lambda: not server.queue(count_max=1), "the queue is empty", limit_s=120)

    with Traffic(server, folder, Random(2)) as traffic:
        for _ in range(KILLS):
            peers = traffic.peers
            wait_until(partial(came, traffic, peers + 20), "there is traffic", limit_s=60)
            server.kill()
            server.start()
    wait_until(lambda: not server.queue(count_max=1), "the queue is empty again", limit_s=120)
    wait_until(lambda: sample(server).descriptors < 60, "no descriptor is left open", limit_s=60)
