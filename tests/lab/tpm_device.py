"""tpm_device.py HOST PORT FILE: a device before a software TPM, for programs that know no other way to one. Writes its path to FILE.

A pseudo terminal in raw mode stands for the character device: like the kernel's, it takes a command in one write and gives the answer to
who reads then. It has no resource manager: what a program leaves in the TPM stays there.
"""

import os
import pathlib
import pty
import socket
import sys
import termios
import tty


def main(host, port, file):
    # Our own end of the device stays open, so that it lasts from one program to the next.
    tpm, device = pty.openpty()
    tty.setraw(device)
    part = pathlib.Path(file + ".part")
    part.write_text(os.ttyname(device))
    part.rename(file)
    while True:
        command = message(lambda size: os.read(tpm, size))
        # The answer to a program that was killed is nobody else's.
        termios.tcflush(device, termios.TCIFLUSH)
        # A connection for each command, so that other programs have their turn.
        with socket.create_connection((host, int(port))) as swtpm:
            swtpm.sendall(command)
            os.write(tpm, message(swtpm.recv))


def message(read):
    """A command or an answer: a tag, its whole size, and the rest."""
    whole = exactly(10, read)
    return whole + exactly(int.from_bytes(whole[2:6], "big") - len(whole), read)


def exactly(size, read):
    whole = b""
    while len(whole) < size:
        part = read(size - len(whole))
        if not part:
            raise EOFError("the other side is gone")
        whole += part
    return whole


main(*sys.argv[1:])
