"""The time that loading Python takes counts for a program, and for nothing else."""
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmdet_lordre.cli import began

FOLDER = Path(began.__file__).parent
PROGRAM = '''
import contextlib
import time
time.sleep(1.5)
import began  # alone: the package would take seconds more
with {}:
    print(time.monotonic() - began.beginning())
'''


def age(line):
    done = subprocess.run([sys.executable, '-c', PROGRAM.format(line)], capture_output=True,
                          text=True, check=True, env=dict(os.environ, PYTHONPATH=str(FOLDER)))
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux says when a process began')
def test_a_program_began_before_python_was_loaded():
    assert 1.5 <= age('began.program()') < 600
    assert age('contextlib.nullcontext()') < 1.5


def test_a_call_from_other_code_begins_now():
    with began.program():
        pass
    before = time.monotonic()
    assert before <= began.beginning() <= time.monotonic()


@pytest.mark.parametrize('ticks', ['0', 'x', '9' * 20])
def test_what_is_no_time_of_this_process_counts_for_nothing(monkeypatch, tmp_path, ticks):
    """A sandbox may say that everything began with the machine, or in the future."""
    stat = tmp_path / 'stat'
    stat.write_text('7 (a (b) c) S ' + '0 ' * 18 + ticks + ' 0\n')
    monkeypatch.setattr(began, 'open', lambda *_, **__: stat.open(), raising=False)
    monkeypatch.setattr(began.time, 'clock_gettime', lambda _: 1000., raising=False)
    assert began._age() == 0.
