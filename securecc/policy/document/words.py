"""What single words of a policy mean: networks, addresses, principals and their patterns, realms, unix groups."""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

from securecc.config_file.words import word
from securecc.model import limits
from securecc.model.errors import PolicyError
from securecc.model.principal import Principal, PrincipalPattern
from securecc.policy.network import Address, AddressRange, parse_address, parse_range

_RANGE = word(parse_range, r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$", 'A network or an address: 10.0.0.0/8, "2001:db8::/32"')
_ADDRESS = word(parse_address, r"^[0-9A-Fa-f.:]+(%.+)?$", "An address: 10.2.3.4")

if TYPE_CHECKING:
    Range = AddressRange
    HostAddress = Address
else:  # msgspec takes no union of types that it does not know
    Range = Annotated[Any, _RANGE]
    HostAddress = Annotated[Any, _ADDRESS]

Pattern = Annotated[
    PrincipalPattern,
    word(
        PrincipalPattern.parse,
        r"^[^/@]+(/[^/@]+)*@[^/@*]+$|\\",
        "A principal; * stands for any text inside one component. The realm is literal.",
    ),
]


def _principal(text: str) -> Principal:
    pattern = PrincipalPattern.parse(text)
    if not pattern.exact:
        raise PolicyError(f"{pattern} is a pattern", "a test is about one principal: write one out")
    return pattern.principal


def _realm(text: str) -> str:
    if not text or not text.isprintable() or not text.isascii() or not set(text).isdisjoint("/@*\\ "):
        raise PolicyError(f"{text[:80]!a} is not a realm", "write it as in krb5.conf: EXAMPLE.COM")
    return text


def _unix_group(text: str) -> str:
    if not text.isprintable() or text.isdigit() or text.startswith("-") or not set(text).isdisjoint(":,/"):
        raise PolicyError(f"{text[:80]!a} is not a name of a unix group", "name it as getent(1) shows it")
    return text


def _folder(text: str) -> str:
    path = PurePosixPath(text)
    if "\0" in text or len(text) > limits.PATH or path.is_absolute() or ".." in path.parts or not path.parts:
        raise PolicyError(f"{text[:80]!a} cannot be included", "name a folder below that of the policy, as policy.d")
    return str(path)


ExactPrincipal = Annotated[
    Principal, word(_principal, r"^[^/@]+(/[^/@]+)*@[^/@]+$|\\", "The whole name, realm included: alice@EXAMPLE.COM")
]
Realm = Annotated[
    str, word(_realm, r"^[^/@*\\ ]+$", "The realm of its members' principals, as EXAMPLE.COM", bare=False)
]
UnixGroupName = Annotated[str, word(_unix_group, "^[^-]", "As getent(1) shows it", bare=False)]
Folder = Annotated[str, word(_folder, "^[^/]", bare=False)]
