"""Makes `python -m supervisor` the same as the `supervisor` command; nothing else is here."""

from supervisor.cli import main

if __name__ == "__main__":
    main()
