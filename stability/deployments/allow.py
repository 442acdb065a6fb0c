"""Where the operator allows us to connect to: an address is judged, never a name alone."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

PUBLIC: Final = "public"  # the entry of an allow-list that stands for every public address

Address = IPv4Address | IPv6Address

# Where clouds tell credentials to whoever asks: never reached by a suffix, only if named.
_METADATA: Final = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16",
            "fe80::/10",
            "fd00:ec2::254/128",
            "100.100.100.200/32",
            "192.0.0.192/32",
            "168.63.129.16/32",
        ),
    )
)
_TRANSLATED: Final = ip_network("64:ff9b::/96")  # IPv6 that leads to the IPv4 in its last 32 bits
_SITE_LOCAL: Final = ip_network("fec0::/10")  # private, which Python 3.11 takes for public
_NAME: Final = re.compile(r"\.?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")


@dataclass(frozen=True, slots=True)
class Allow:
    """Hosts wherever they are, names below a suffix unless they lead back to this machine, and networks."""

    public: bool = False
    hosts: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, entries: Sequence[str], template: str = "") -> "Allow":
        """From a setting's entries, `public` if there are none, and the template of health URLs.

        Raises ValueError at an entry that is neither a host, nor a suffix, nor a network.
        """
        hosts, suffixes, networks = set(), [], []
        for entry in (entry.lower() for entry in entries or (PUBLIC,)):
            if entry == PUBLIC:
                continue
            try:
                networks.append(ip_network(entry))
            except ValueError:
                if not _NAME.fullmatch(entry):
                    raise ValueError(f"{entry} is no host, no suffix such as .internal and no network") from None
                suffixes.append(entry) if entry.startswith(".") else hosts.add(entry)
        host = re.sub(r"^[a-z]+://([^/]*?)(:\d+)?(/.*)?$", r"\1", template).lower()
        if "{" not in host:
            hosts |= {host.strip("[]")} - {""}
        elif (rest := host.rpartition("}")[2]).startswith("."):
            suffixes.append(rest)
        return cls(not entries or PUBLIC in entries, frozenset(hosts), tuple(suffixes), tuple(networks))

    def permits(self, host: str, address: Address) -> bool:
        """Whether a connection to `host` may go to this address of it."""
        address = _real(address)
        if host in self.hosts or any(address in network for network in self.networks):
            return True
        if address.is_loopback or address.is_unspecified or address.is_multicast or address.is_reserved:
            return False
        if any(address in network for network in _METADATA):
            return False
        public = address.is_global and address not in _SITE_LOCAL
        return host.endswith(self.suffixes) or (self.public and public)


def _real(address: Address) -> Address:
    """The address that it leads to, however it is written."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped or address.sixtofour:
            return address.ipv4_mapped or address.sixtofour or address
        if address in _TRANSLATED:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def template(text: str) -> str:
    """`text` if it is a template of health URLs; raises ValueError when it is none."""
    try:
        url = text.format(machine_id="0", app="a")
    except (LookupError, ValueError):
        url = ""
    if not re.fullmatch(r"https?://[^/@\s]+(/\S*)?", url):
        raise ValueError("must be a URL whose only placeholders are {machine_id} and {app}")
    return text
