"""`python -m novkit`: the same as the command `novkit`."""

from novkit.cli import main

if __name__ == "__main__":
    main()
