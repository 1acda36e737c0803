"""The device in QEMU, provisioned and booted by the repository's own programs."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading

from .hub import Hub, program

DEADLINE_SECONDS = 90
# What the device has the loopback of this machine at.
GATEWAY = "10.0.2.2"


class Device:
    """A device that runs, on the emulated Ethernet. Its home is that of the agent `name`."""

    def __init__(self, hub: Hub, name: str) -> None:
        image, runner = program("MOORLINE_AGENT_IMAGE"), program("QEMU_RUN_PROGRAM")
        flash = hub.home(name) / "flash.img"
        hub.json(name, "keygen")
        hub.json(name, "enroll", "agent", name)
        host = f"{GATEWAY}:{hub.address.rpartition(':')[2]}"
        hub.json(name, "provision", "--out", str(flash), "--host", host)
        self.log: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # The emulator is a child of the runner: both are of one group, which ends together.
        self._process = subprocess.Popen(
            [
                *(runner, image, "--network", "--provision", str(flash)),
                *("--deadline", str(DEADLINE_SECONDS)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, wanted: str) -> None:
        """Waits for a line of the device's log, until the run ends at its deadline."""
        while (line := self._lines.get()) is not None:
            self.log.append(line)
            if wanted in line:
                return
        raise RuntimeError(f"the device never says {wanted!r}:\n" + "".join(self.log))

    def stop(self) -> None:
        """Ends the run where it stands."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        if self._process.stdout:
            self._process.stdout.close()
