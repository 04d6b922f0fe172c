"""An agent's process: ``python3 -I -m securecc.client``. One OpenSSL is enough: see `securecc.model.digest`."""

import sys

for module in (
    "ssl",
    "_hashlib",
):  # asyncio and hashlib do without: None is how the import system says that there is none
    sys.modules[module] = None  # type: ignore[assignment]

from securecc.client.agent import main  # noqa: E402 - what is imported before it would load the interpreter's own

if __name__ == "__main__":
    raise SystemExit(main())
