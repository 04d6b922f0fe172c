"""The agent's process: ``python3 -I -m securecc.client``."""

from securecc.client.agent import main

if __name__ == "__main__":
    raise SystemExit(main())
