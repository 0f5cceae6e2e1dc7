"""`python -m anomri.cli` is `anomri`."""

from anomri.cli import main

if __name__ == "__main__":
    main()
