"""The stages of one boot in seconds since power-on, from the console and from the wire."""

from .capture import Summary
from .qemu import Console

# What the golden image's own stages print.
CONSOLE_STAGES = {
    "grub": r"nodisk: loading the kernel",
    "kernel": r"nodisk: starting the kernel",
    "initramfs": r"Loading, please wait",
    "root": r"Welcome to Debian",
    "login": r"(?m)^\S+ login: ",
}

# The parts of a boot, each by the stage that ends it; together they are all of it.
PARTS = {
    "firmware": "grub",
    "loader": "kernel",
    "kernel and initramfs": "root",
    "root disk to login": "login",
}


def stages(console: Console, wire: Summary | None = None) -> dict[str, float]:
    """Each stage that was reached, in the order of a boot."""
    seen: dict[str, float | None] = {}
    if wire:
        seen["address"] = wire.dhcp[0].at if wire.dhcp else None
        scripts = [fetch.at for fetch in wire.http if fetch.name.startswith("GET")]
        seen["script"] = scripts[0] if scripts else None
        for stage, name in (("firmware", "firmware-login"), ("linux", "linux-login")):
            logins = wire.logins(stage)
            seen[name] = logins[0].logged_in_at if logins else None
    for name, pattern in CONSOLE_STAGES.items():
        seen[name] = console.seconds_of(pattern)
    return dict(sorted(((name, at) for name, at in seen.items() if at is not None),
                       key=lambda item: item[1]))


def parts(seen: dict[str, float]) -> dict[str, tuple[float, float]]:
    """From when to when each part lasted. One whose end was not seen belongs to the next."""
    found, begin = {}, 0.0
    for name, end in PARTS.items():
        if end in seen:
            found[name] = (begin, seen[end])
            begin = seen[end]
    return found
