"""A real hub with its own data folder on loopback, worked by the programs that a person uses."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

from . import keys
from .link import Identity


def program(variable: str) -> str:
    """The path of a program that `cargo interop` has built."""
    path = os.environ.get(variable)
    if not path:
        raise RuntimeError(f"{variable} is not set; run these tests with: cargo interop")
    return path


def encode_key(public: bytes) -> str:
    """A public key as the command line takes it, in base64url."""
    return base64.urlsafe_b64encode(public).rstrip(b"=").decode()


class Hub:
    """A daemon that runs. As a context manager, it is ended at the end."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="moorline-interop-")
        self.folder = Path(self._folder.name)
        self.log: list[str] = []
        self._start()

    def _start(self) -> None:
        daemon = program("MOORLINE_HUB_PROGRAM")
        self._daemon = subprocess.Popen(
            [
                daemon,
                *("--data-dir", str(self.folder / "hub")),
                *("--listen", "127.0.0.1:0", "--listen-tcp", "127.0.0.1:0", "--log-format", "json"),
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.address = self._wait_until_ready()
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_ready(self) -> str:
        assert self._daemon.stderr
        for line in self._daemon.stderr:
            self.log.append(line)
            fields = json.loads(line).get("fields", {})
            if fields.get("message") == "ready":
                return str(fields["http"])
        raise RuntimeError("moorlined does not start:\n" + "".join(self.log))

    def _read_log(self) -> None:
        assert self._daemon.stderr
        self.log.extend(self._daemon.stderr)

    def stop_signal(self) -> None:
        """Tells the daemon to end, as a service manager does."""
        self._daemon.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Ends the daemon, waits for it, and removes its folder."""
        try:
            self._end()
        finally:
            self._folder.cleanup()

    def restart(self) -> None:
        """Ends the daemon and starts it again on what it has stored, at another port."""
        self._end()
        self._start()

    def moved(self, identity: Identity) -> Identity:
        """The identity, with the address that the daemon has now."""
        return replace(identity, url=f"ws://{self.address}/ws")

    def _end(self) -> None:
        self.stop_signal()
        try:
            self._daemon.wait(15)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            raise
        finally:
            self._daemon.wait()
            self._reader.join()
            if self._daemon.stderr:
                self._daemon.stderr.close()

    def home(self, name: str) -> Path:
        """The home of a peer that the command line keeps."""
        return self.folder / name

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `moorline --json` as the peer `name`."""
        command = [program("MOORLINE_PROGRAM"), "--json", "--home", str(self.home(name)), *arguments]
        environment = os.environ | {"MOORLINED_DATA_DIR": str(self.folder / "hub")}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def json(self, name: str, *arguments: str) -> dict:
        """As `run`, with what it prints; a failure is an error with its words."""
        done = self.run(name, *arguments)
        if done.returncode:
            raise RuntimeError(f"moorline {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def enrol(self, role: str, name: str, *options: str) -> Identity:
        """Enrols a key that is made here, as `--key` is for."""
        key = keys.SigningKey.generate()
        credential = self.json(name, "enroll", role, name, *options, "--key", encode_key(key.public))
        return Identity.enrolled(key, credential)
