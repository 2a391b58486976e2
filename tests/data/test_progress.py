"""Progress: a bar on a terminal that leaves nothing behind, lines elsewhere."""

import io
import os
import select

from sfda_bench.data import progress
from sfda_bench.data.progress import Progress


def test_elsewhere_it_is_a_line_now_and_then(monkeypatch):
    stream = io.StringIO()
    with Progress('cutting', stream) as show:
        show(1, 3)
        assert stream.getvalue() == ''
        monkeypatch.setattr(progress, '_EVERY_SECONDS', 0.0)
        show(2, 3)
    assert stream.getvalue() == 'cutting: 2 of 3\n'


def erased(shown: bytes) -> bool:
    """Whether the line is erased after it was full."""
    return b'\x1b[2K' in shown.rpartition(b'100%')[2] and b'100%' in shown


def test_on_a_terminal_it_is_a_bar(monkeypatch):
    monkeypatch.setenv('TERM', 'xterm')
    reader, writer = os.openpty()
    with os.fdopen(writer, 'w') as terminal:
        with Progress('cutting', terminal) as show:
            show(3, 3)
        terminal.flush()
        shown = b''
        # it comes in pieces
        while not erased(shown) and select.select([reader], [], [], 5.0)[0]:
            shown += os.read(reader, 65536)
    os.close(reader)
    assert b'cutting' in shown
    assert erased(shown)
