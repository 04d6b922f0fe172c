"""How a host and a port are written: for people, logs and the audit."""


def address(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
