"""Groups and ports that no two tests of a run share, also across the workers of pytest-xdist."""


class FreeAddresses:
    """Hands out addresses. Ports lie below the kernel's ephemeral range (32768), 1,000 a worker."""

    def __init__(self, worker: int) -> None:
        self._worker = worker % 12
        self._groups = 0
        self._ports = 0

    def group(self) -> str:
        """An IPv4 group of the administratively scoped block (RFC 2365)."""
        self._groups += 1
        return f"239.77.{self._worker * 16 + self._groups // 256}.{self._groups % 256}"

    def group6(self) -> str:
        """An IPv6 group, transient and site-local (RFC 4291 2.7)."""
        self._groups += 1
        return f"ff15::77:{self._worker:x}:{self._groups:x}"

    def port(self) -> int:
        self._ports += 1
        return 20_000 + self._worker * 1_000 + self._ports % 1_000

    def address(self) -> str:
        """`GROUP:PORT`, IPv4, no interface named."""
        return f"{self.group()}:{self.port()}"
