from ..tools.conftest import error_line, run_script

__all__ = ['error_line', 'run_script']
