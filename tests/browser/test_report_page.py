"""The report in a browser: every tab, slider, filter and link works, and nobody is asked."""
import json
import os
from pathlib import Path

import pytest

from mmdet_lordre.cli.report import main as report
from tests.reporting.test_report import HOSTILE, hostile_scene, write
from tests.reporting.test_run_log import iteration, start

pytestmark = pytest.mark.browser
TABS = ['overview', 'training', 'classes', 'confusion', 'errors', 'pictures', 'annotations',
        'comparison']
#: Where screenshots are kept, when somebody wants to look at them.
SHOTS = os.environ.get('SCREENSHOTS')


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    """A report of a run with hostile names, compared with another."""
    folder = tmp_path_factory.mktemp('page')
    scene = hostile_scene()
    write(scene, folder / 'data')
    for stamp, first in (('20260101_000000', 10), ('20260102_000000', 60)):
        start(folder / 'run', stamp, [
            *(iteration(step, 100 / step) for step in range(first, first + 60, 10)),
            {'coco/segm_mAP': first / 200, 'coco/segm_mAP_50': first / 100, 'step': first + 50}])
    place = folder / 'run' / 'report'
    place.mkdir()
    (place / 'results.segm.json').write_text(json.dumps(scene.results))
    (place / 'origin.json').write_text(json.dumps(dict(config='x/own.py', device=HOSTILE[0])))
    (folder / 'run' / 'own.py').write_text(f'a = 1\nb = {HOSTILE[0]!r}\n')
    other = folder / 'other.json'
    other.write_text(json.dumps(scene.results[::2]))
    return report([str(folder / 'run'), '--ann', str(folder / 'data' / 'truth.json'),
                   '--against', str(other), '--resamples', '50'])


@pytest.fixture
def opened(browser, page):
    """The page, just opened; at the end the logs are looked at."""
    show(browser, 1200)
    browser.get_log('browser')
    browser.get_log('performance')
    browser.get(Path(page).as_uri())
    yield browser
    assert not browser.get_log('browser')
    asked = []
    for entry in browser.get_log('performance'):
        message = json.loads(entry['message'])['message']
        if message['method'] == 'Network.requestWillBeSent':
            asked.append(message['params']['request']['url'])
    assert {url for url in asked if not url.startswith('data:')} == {Path(page).as_uri()}
    assert not browser.execute_script('return window.ran')


def show(browser, width, scheme='light'):
    browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', dict(
        width=width, height=900, deviceScaleFactor=1, mobile=width < 600))
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(
        features=[dict(name='prefers-color-scheme', value=scheme),
                  dict(name='prefers-reduced-motion', value='reduce')]))


def visible(browser, selector):
    return [e for e in browser.find_elements('css selector', selector) if e.is_displayed()]


def click(element):
    element.parent.execute_script('arguments[0].scrollIntoView({block: "center"})', element)
    element.click()


def tab(browser, name):
    click(browser.find_element('id', f'tab-{name}'))


def test_tabs(opened):
    tabs = opened.find_elements('css selector', '[role="tab"]')
    assert [t.get_attribute('aria-controls') for t in tabs] == TABS
    for name in TABS:
        tab(opened, name)
        assert [p.get_attribute('id') for p in visible(opened, '[role="tabpanel"]')] == [name]
        assert opened.current_url.endswith(f'#{name}')
    tabs[-1].send_keys('\ue012')  # the arrow to the left
    assert opened.current_url.endswith(f'#{TABS[-2]}')
    opened.refresh()  # a link leads to the tab that it names
    assert [p.get_attribute('id') for p in visible(opened, '[role="tabpanel"]')] == [TABS[-2]]


def test_every_link_leads_somewhere(opened):
    links = opened.find_elements('css selector', 'a')
    assert len(links) > 8
    for link in links:
        target = link.get_attribute('href').partition('#')[2]
        opened.execute_script('arguments[0].click()', link)
        assert opened.find_element('id', target).is_displayed(), target


def test_names_are_shown(opened):
    tab(opened, 'classes')
    names = [row.text for row in visible(opened, '#class-table tbody td:first-child')]
    assert len(names) == 6 and names[0] == HOSTILE[0]
    assert names[2] == '\\x1b[31mred\\x07\\u202e' and names[5] == HOSTILE[5]
    tab(opened, 'confusion')
    options = opened.find_elements('css selector', '#confusion-class option')
    assert [o.get_attribute('textContent') for o in options][1:] == names


def test_the_config_unfolds(opened):
    config = opened.find_element('css selector', 'details.config pre')
    assert not config.is_displayed()
    click(opened.find_element('css selector', 'details.config summary'))
    assert config.text.splitlines() == ['a = 1', f'b = {HOSTILE[0]!r}']


def test_sorting_and_filtering_classes(opened):
    tab(opened, 'classes')
    head = opened.find_element('css selector', '#class-table th:nth-child(3) button')
    for arrow, falls in (('descending', True), ('ascending', False)):
        click(head)
        values = [float(c.get_attribute('data-value'))
                  for c in visible(opened, '#class-table tbody td:nth-child(3)')]
        assert values == sorted(values, reverse=falls) and len(set(values)) > 1
        assert head.find_element('xpath', '..').get_attribute('aria-sort') == arrow
    opened.find_element('id', 'class-filter').send_keys('ONERROR')
    assert [c.text for c in visible(opened, '#class-table tbody td:first-child')] == [HOSTILE[1]]


def test_a_cell_opens_its_pictures(opened):
    tab(opened, 'confusion')
    cells = visible(opened, '#matrix .cell')
    assert len(cells) > 10
    for cell in (cells[0], cells[-1]):
        label = cell.get_attribute('aria-label')
        opened.execute_script(
            'arguments[0].dispatchEvent(new MouseEvent("click", {bubbles: true}))', cell)
        assert opened.find_element('id', 'cell-title').text.endswith(label.rsplit(' ', 1)[1])
        assert visible(opened, '#cell-pictures svg.picture image')
        assert visible(opened, '#cell-pictures .names li')
    cells[1].send_keys('\ue007')  # the keyboard opens it, too
    assert opened.find_element('id', 'cell-title').text.endswith(
        cells[1].get_attribute('aria-label').rsplit(' ', 1)[1])


def test_the_list_of_confusions(opened):
    tab(opened, 'confusion')
    rows = visible(opened, '#confusions tbody tr')
    counts = [int(r.find_element('css selector', 'td:nth-child(3)').text) for r in rows]
    assert counts == sorted(counts, reverse=True)
    click(opened.find_element('id', 'with-background'))
    assert len(visible(opened, '#confusions tbody tr')) > len(rows)
    click(opened.find_elements('css selector', '#confusion-class option')[1])
    for row in visible(opened, '#confusions tbody tr'):
        assert HOSTILE[0] in [c.text for c in row.find_elements('css selector', 'td')[:2]]
    click(visible(opened, '#confusions tbody button')[0])
    assert visible(opened, '#cell-pictures svg.picture')


def test_sliders(opened):
    tab(opened, 'pictures')
    figure = visible(opened, '.whole')[0]
    slider = figure.find_element('css selector', 'input')

    def widths():
        return [float(r.get_attribute('width'))
                for r in figure.find_elements('css selector', 'clipPath rect')]
    whole = sum(widths())
    assert widths()[0] == whole / 2
    opened.execute_script('arguments[0].value = 80; arguments[0].dispatchEvent(new Event("input"))',
                          slider)
    assert widths() == pytest.approx([0.8 * whole, 0.2 * whole])
    for button, expected in (('only-truth', whole), ('only-found', 0), ('half', whole / 2)):
        click(opened.find_element('id', button))
        assert widths()[0] == expected


def test_only_what_is_real(opened):
    tab(opened, 'comparison')
    rows = visible(opened, '.comparison tbody tr')
    assert len(rows) == 9
    click(visible(opened, '.only-real')[0])
    assert len(visible(opened, '.comparison tbody tr')) == len(
        [r for r in rows if r.get_attribute('class') == 'real']) < 9


def test_galleries_hold_pictures_with_masks(opened):
    for name in ('errors', 'annotations', 'pictures'):
        tab(opened, name)
        pictures = visible(opened, f'#{name} svg.picture')
        assert pictures
        for picture in pictures[:20]:
            assert picture.find_elements('css selector', 'path.t, path.d')
            assert picture.size['width'] > 60


@pytest.mark.parametrize('width', [1200, 390])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_it_fits_and_can_be_read(opened, width, scheme):
    show(opened, width, scheme)
    for name in TABS:
        tab(opened, name)
        # nothing reaches out of the page; tables scroll in their own place
        assert opened.execute_script('return document.documentElement.scrollWidth') <= width, name
        colors = opened.execute_script('''
            const style = getComputedStyle(document.body);
            return [style.color, style.backgroundColor];''')
        light = [sum(int(v) for v in c[4:-1].split(',')) for c in colors]
        assert (light[0] < light[1]) == (scheme == 'light')
        if SHOTS:
            opened.save_screenshot(f'{SHOTS}/{name}_{scheme}_{width}.png')


def test_it_prints_all_of_it(opened):
    opened.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(media='print'))
    assert [p.get_attribute('id') for p in visible(opened, '[role="tabpanel"]')] == TABS
    assert not visible(opened, '[role="tab"]')
    opened.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(media=''))
    assert len(opened.execute_cdp_cmd('Page.printToPDF', {})['data']) > 50_000
