"""
Resolve the dependencies of pyproject.toml into requirements/: exact versions with hashes, for every supported Python.

Not run by any other target: a lock changes when somebody decides so. The locks name no host, so they work with any
index.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {
    "runtime": [],
    "acme": ["--extra", "acme", "--constraint", "requirements/runtime.txt"],
    "ldap": ["--extra", "ldap", "--constraint", "requirements/runtime.txt"],
    "dev": ["--extra", "dev", "--constraint", "requirements/runtime.txt"],
}
HEAD = "# Made by `make lock` from pyproject.toml; install with --require-hashes --no-deps.\n"


def main() -> None:
    """Write requirements/runtime.txt, then requirements/dev.txt with the same versions."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", folder, "uv"], check=True)
        for name, options in LOCKS.items():
            output = ROOT / "requirements" / f"{name}.txt"
            subprocess.run(
                [
                    Path(folder) / "bin" / "uv", "pip", "compile", "--quiet", "--upgrade",
                    "--universal", "--python-version", "3.11", "--generate-hashes",
                    "--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header",
                    *options, "pyproject.toml", "--output-file", output,
                ],
                check=True,
                cwd=ROOT,
            )  # fmt: skip
            output.write_text(HEAD + output.read_text(encoding="utf-8"), encoding="utf-8")


if __name__ == "__main__":
    main()
