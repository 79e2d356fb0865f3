"""The text of a config is mmengine's, and formatted once."""
import copy

import pytest
from mmengine.config import Config
from mmengine.config import config as mmengines

from mmdet_lordre.config import formatted
from mmdet_lordre.config.formatted import FormattedOnce, formatted_once

CONTENT = dict(model=dict(type='A', sizes=[(1, 2), (3, 4)], names={'0': 'a', 'b c': None}),
               hooks=[dict(type='B', values=[0.1] * 30)], note='it\'s "so"')


@pytest.fixture
def counted(monkeypatch):
    """Counts how often a text is laid out; none is known yet."""
    monkeypatch.setattr(formatted, '_FORMATTED', {})
    times = []

    def counting(*args, **kwargs):
        times.append(1)
        return original(*args, **kwargs)
    original = mmengines.FormatCode
    monkeypatch.setattr(mmengines, 'FormatCode', counting)
    return times


def test_it_is_laid_out_once_for_each_state(counted, tmp_path):
    expected = Config(CONTENT)
    text = expected.pretty_text
    cfg = formatted_once(expected)
    del counted[:]
    assert isinstance(cfg, FormattedOnce) and type(expected) is Config
    assert cfg.pretty_text == cfg.pretty_text == copy.deepcopy(cfg).pretty_text == text
    cfg.dump(tmp_path / 'a.py')
    assert (tmp_path / 'a.py').read_text() == text and len(counted) == 1
    cfg.model.sizes[0] = (5, 6)
    expected.model.sizes[0] = (5, 6)
    changed = cfg.pretty_text
    assert len(counted) == 2 and changed == expected.pretty_text != text


def test_one_that_is_not_laid_out(counted):
    plain = Config(CONTENT, format_python_code=False)
    assert formatted_once(plain).pretty_text == plain.pretty_text and not counted


def test_only_the_last_few_are_kept(counted):
    cfg = formatted_once(Config(CONTENT))
    for number in range(20):
        cfg.note = str(number)
        assert f"note = '{number}'" in cfg.pretty_text
    assert len(formatted._FORMATTED) == 8 and len(counted) == 20
