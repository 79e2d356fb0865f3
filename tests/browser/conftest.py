"""A real browser that opens pages from disk: Chromium, headless, driven by Selenium."""
import shutil

import pytest

#: Nothing of the browser's own talks to anybody.
QUIET = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync',
         '--disable-default-apps', '--hide-scrollbars']


@pytest.fixture(scope='session')
def browser(tmp_path_factory):
    """Selenium's driver; its log holds what the console and the network did."""
    webdriver = pytest.importorskip('selenium.webdriver')
    program, driver = (shutil.which(name) for name in ('chromium', 'chromedriver'))
    if not program or not driver:
        pytest.fail('make test-browser installs chromium and chromium-driver as root; without it '
                    'install them first')
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*QUIET, f'--user-data-dir={tmp_path_factory.mktemp("profile")}'):
        options.add_argument(flag)
    options.set_capability('goog:loggingPrefs', dict(browser='ALL', performance='ALL'))
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield browser
    browser.quit()
