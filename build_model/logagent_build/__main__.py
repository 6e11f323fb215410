"""`python -m logagent_build`."""

from logagent_build.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
