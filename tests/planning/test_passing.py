"""Lines that say what is being done."""
import io
import sys

import pytest

from mmdet_lordre.planning.passing import passing_lines


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize('stream, shown', [(Terminal, True), (io.StringIO, False)])
def test_lines_replace_each_other(monkeypatch, stream, shown):
    monkeypatch.setattr(sys, 'stderr', stream())
    with pytest.raises(ValueError), passing_lines() as say:
        say('looking')
        say('fitting')
        raise ValueError
    written = sys.stderr.getvalue()
    if not shown:  # a file, say
        assert written == 'looking ...\nfitting ...\n'
    else:  # wiped at the end, whatever has happened
        assert written.count('\r') == 4 and 'looking ...' in written
        assert not written.split('\r')[-2].strip() and '\n' not in written
