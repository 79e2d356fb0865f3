"""Pages: whole, in one file, and nothing in them is run but their own scripts."""
import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from jinja2 import UndefinedError

from mmdet_lordre.errors import UserError
from mmdet_lordre.pages import render, write_page

TEMPLATE = '''{% extends 'base.html' %}
{% block title %}{{ name | shown }}{% endblock %}
{% block main %}<p title="{{ name | shown }}">{{ name | shown }}</p>
<td>{{ value | figure }}</td>{{ json_block('data', {'name': name}) }}{% endblock %}'''
HOSTILE = ('</script><script>alert(1)</script>"\'><img src=x onerror=alert(2)>'
           '\x1b[31m\u202e\x00\udc80')


class Outline(HTMLParser):
    """Elements of a page, and the text of its data."""

    def __init__(self):
        super().__init__()
        self.found, self.data, self.inside = [], '', None

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.inside = dict(attrs).get('id')

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == 'data':
            self.data += data


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'own.html').write_text(TEMPLATE)
    (tmp_path / 'own.js').write_text('document.title += "!";')
    return tmp_path


def outline(html):
    parser = Outline()
    parser.feed(html)
    return parser


def test_a_page(folder):
    html = render('own.html', folder, name='a page', value=0.1234)
    assert html.startswith('<!doctype html>') and '<title>a page</title>' in html
    assert '<td>0.123</td>' in html
    # nothing of it lies elsewhere
    assert not re.findall(r'(?:src|href)=|url\(|@import|https?://', html)


@pytest.mark.parametrize('value', [None, float('nan'), -1])
def test_no_number_is_a_dash(folder, value):
    assert '<td>\N{EN DASH}</td>' in render('own.html', folder, name='', value=value)


def test_names_are_shown_and_never_run(folder):
    parser = outline(render('own.html', folder, name=HOSTILE, value=1))
    assert not [tag for tag, _ in parser.found if tag == 'img']
    shown = next(attrs['title'] for tag, attrs in parser.found if tag == 'p')
    assert shown.isprintable() and shown.endswith('\\x1b[31m\\u202e\\x00\\udc80')
    assert shown.startswith('</script><script>alert(1)</script>"\'><img src=x onerror=alert(2)>')
    assert json.loads(parser.data) == dict(name=HOSTILE)
    scripts = [attrs for tag, attrs in parser.found if tag == 'script']
    assert scripts == [dict(type='application/json', id='data'), {}, {}]


def test_the_policy_names_exactly_the_scripts(folder):
    html = render('own.html', folder, name='', value=1)
    policy = next(attrs['content'] for tag, attrs in outline(html).found
                  if attrs.get('http-equiv') == 'Content-Security-Policy')
    scripts = re.findall(r'<script>(.*?)</script>', html, re.S)
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert len(scripts) == 2 and re.findall(r"'sha256-([^']+)'", policy) == digests
    assert "default-src 'none'" in policy and 'img-src data:' in policy
    assert 'http' not in policy and "script-src 'unsafe" not in policy


def test_what_a_template_lacks_is_an_error(folder):
    with pytest.raises(UndefinedError, match='name'):
        render('own.html', folder, value=1)
    with pytest.raises(ValueError):
        render('own.html', folder, name=float('nan'), value=1)


def test_writing(folder, tmp_path):
    path = tmp_path / 'new' / 'page.html'
    size = write_page(path, 'own.html', folder, name='\udcff', value=1)
    assert path.stat().st_size == size and [p.name for p in path.parent.iterdir()] == ['page.html']
    with pytest.raises(UserError, match='cannot be written'):
        write_page(tmp_path / 'own.html' / 'page.html', 'own.html', folder, name='', value=1)
