"""
Make the virtual environment and put the locked dependencies in it.

Not a place for choices: what is installed is what the lock says, hash by hash, and nothing is resolved here. What the
machine itself must have is asked by machine.py before.
"""

import subprocess
import sys
from pathlib import Path


def main(folder: Path, lock: Path) -> None:
    """Make *folder* unless it is there, then install *lock*; CalledProcessError where either fails."""
    if not (folder / "bin" / "pip").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    print(f"installing {lock} into {folder} ...", flush=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-q", "--require-hashes", "--no-deps", "-r", str(lock)], check=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # the program that failed has said why
