"""`python -m pymta` is the command `pymta`."""

from pymta.cli import main

if __name__ == "__main__":
    main()
