"""Tables of measurements, a row for each object."""
import csv
from collections.abc import Iterator

from ...errors import UserError
from ...files import atomic_write
from ..measures import MEASURES, measures_of, touches_border
from .base import Context, Results, Writer

#: Rows of a Parquet file that are written at once.
_GROUP = 50_000
_DIGITS = 4


class _Table(Writer):

    measures = True

    def columns(self) -> dict[str, type]:
        """Names of the columns, with their units, and types."""
        names = {}
        for name, power in MEASURES.items():
            unit = 'mm' if self.context.mm_per_pixel else 'px'
            names[f'{name}_{unit}{power if power > 1 else ""}' if power else name] = float
        place = dict(frame=int, time_s=float) if self.context.frames else {}
        number = 'track_id' if self.context.tracked else 'id'
        return dict(picture=str, **place, **{number: int, 'class': str}, score=float, **names,
                    touches_border=bool)

    def rows(self, results: Results) -> Iterator[list]:
        """Values in the order of the columns."""
        scale = self.context.mm_per_pixel or 1
        for result in results():
            place = [result.frame, round(result.time, 6)] if self.context.frames else []
            for number, name, score, crop in zip(result.numbers, result.names,
                                                 result.scores.tolist(), result.crops()):
                measures = measures_of(crop)
                yield [result.name, *place, number, name, round(score, 6),
                       *(measures[name] * scale ** power for name, power in MEASURES.items()),
                       touches_border(crop, result.size)]


class CSV(_Table):
    """``measurements.csv``."""

    name = 'csv'

    def finish(self, results: Results) -> None:
        path = self.context.path('measurements.csv')
        with atomic_write(path) as name, open(name, 'w', encoding='utf-8', newline='') as file:
            table = csv.writer(file)
            table.writerow(self.columns())
            for row in self.rows(results):
                table.writerow([f'{value:.6g}' if isinstance(value, float) else
                                int(value) if isinstance(value, bool) else value
                                for value in row])


class Parquet(_Table):
    """``measurements.parquet``, by pyarrow."""

    name = 'parquet'

    def __init__(self, context: Context):
        super().__init__(context)
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise UserError('--save parquet needs pyarrow: pip install pyarrow') from error

    def finish(self, results: Results) -> None:
        import pyarrow
        from pyarrow import parquet
        kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(),
                 bool: pyarrow.bool_()}
        schema = pyarrow.schema([(name, kinds[kind]) for name, kind in self.columns().items()])
        with atomic_write(self.context.path('measurements.parquet')) as name, \
                parquet.ParquetWriter(name, schema) as file:
            group = []
            for row in self.rows(results):
                group.append(row)
                if len(group) == _GROUP:
                    file.write_table(_arrow(group, schema))
                    group = []
            file.write_table(_arrow(group, schema))


def _arrow(rows, schema):
    import pyarrow
    columns = list(zip(*rows)) if rows else [()] * len(schema)
    return pyarrow.table([pyarrow.array(column, field.type) for column, field in
                          zip(columns, schema)], schema=schema)
