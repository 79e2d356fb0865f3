from ..cli.conftest import data, error_line, run_script  # noqa: F401 - fixtures
