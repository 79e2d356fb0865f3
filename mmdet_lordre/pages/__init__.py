"""Pages of HTML in one file each: no server, no network, no library of JavaScript."""
from .charts import Series, bar_chart, line_chart
from .pictures import data_uri, thumbnail
from .render import render, write_page

__all__ = ['Series', 'bar_chart', 'data_uri', 'line_chart', 'render', 'thumbnail', 'write_page']
