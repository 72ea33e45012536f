"""``python -m busnet``: the command line."""

from busnet.cli import main

if __name__ == "__main__":
    main()
