from ..cli.conftest import error_line  # noqa: F401 - a fixture
