"""
What the bench compares with and no system has installed beside Postfix: fetched and unpacked into a folder, not installed.

    bench_peers.py FOLDER

Debian's mail servers exclude each other, so Exim and OpenSMTPD are downloaded with apt-get and unpacked; aiosmtpd comes from the
package index, Haraka from npm. Rule: what cannot be had is named and left out; a bench without it is still one.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

DEBIAN = {"exim": ("exim4-daemon-light", "exim4-base"), "opensmtpd": ("opensmtpd",)}
AIOSMTPD = "aiosmtpd==1.4.6"
HARAKA = "Haraka@3.3.4"
WAIT_S_MAX = 300


def run(*command: str | Path, folder: Path) -> None:
    """Run it in *folder*, quietly; CalledProcessError, with what it said, where it fails."""
    subprocess.run(
        list(map(str, command)),
        cwd=folder,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=WAIT_S_MAX,
    )


def fetch_debian(name: str, folder: Path) -> None:
    """Download the packages and unpack them into *folder*."""
    run("apt-get", "download", "-qq", *DEBIAN[name], folder=folder)
    for package in folder.glob("*.deb"):
        run("dpkg-deb", "-x", package, folder, folder=folder)
    packages = sorted(package.stem.rsplit("_", 1)[0] for package in folder.glob("*.deb"))
    (folder / "version").write_text(packages[-1].partition("_")[2], encoding="ascii")


def fetch_aiosmtpd(folder: Path) -> None:
    """Install it into *folder*, for PYTHONPATH."""
    run(sys.executable, "-m", "pip", "install", "-q", "--target", folder, AIOSMTPD, folder=folder)
    (folder / "version").write_text(AIOSMTPD.partition("==")[2], encoding="ascii")


def fetch_haraka(folder: Path) -> None:
    """Install it into *folder*, without its optional parts, which need a compiler."""
    run(
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        "--omit=optional",
        "--prefix",
        folder,
        HARAKA,
        folder=folder,
    )
    (folder / "version").write_text(HARAKA.partition("@")[2], encoding="ascii")


def main() -> int:
    """Fetch what is not there yet; always 0, because a bench without peers is one, too."""
    top = Path(sys.argv[1])
    fetchers: dict[str, Callable[[Path], None]] = {
        "exim": lambda folder: fetch_debian("exim", folder),
        "opensmtpd": lambda folder: fetch_debian("opensmtpd", folder),
        "aiosmtpd": fetch_aiosmtpd,
        "haraka": fetch_haraka,
    }
    for name, fetch in fetchers.items():
        folder = (top / name).absolute()
        if (folder / "version").exists():
            continue
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"fetching {name} to compare with", flush=True)
        try:
            fetch(folder)
        except (OSError, subprocess.SubprocessError) as error:
            said = (getattr(error, "stdout", None) or str(error)).strip().splitlines()
            print(f"without {name}: {said[-1] if said else error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
