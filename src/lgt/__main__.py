"""Run the command line as `python -m lgt`."""

from lgt.cli import main

if __name__ == "__main__":
    main()
