"""What a GPU makes of the four methods, in one command of at most ten minutes.

    python benchmarks/gpu.py --out gpu          # writes gpu.json and gpu.md
    python benchmarks/gpu.py --tiny --device cpu

inference   R-50 models at their published sizes in float32, TF32, float16 and bfloat16, captured as
            CUDA graphs and compiled: one image from bytes in the CPU's memory to masks on the
            device, the backbone's share of it, images a second in batches. Every form has to find
            what float32 finds.
training    a step (losses and gradients) with 10, 100 and 300 instances, from bitmaps and from what
            loading processes make of them: time, peak memory, share of targets and losses; SOLOv2
            beside mmdet's on the same weights and inputs, whose losses have to be the same.
operations  SOLOv2's head, targets and Matrix NMS beside mmdet's, whose results have to be the same.

Weights are random; about a hundred candidates pass the score threshold, as on a busy photograph.
Results are written after each row, so that nothing is lost when time runs out: what is not reached
within --minutes is listed as left out.
"""
import argparse
import datetime
import json
import logging
import platform
import sys
import time
import warnings
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import gpu_inference
import gpu_training
from mmengine.registry import init_default_scope
from r50 import CONFIGS

import mmdet_lordre  # noqa: F401 - registers everything
from mmdet_lordre.compat import has_operators
from mmdet_lordre.errors import UserError
from mmdet_lordre.files import atomic_write, refuse_overwriting

PARTS = dict(inference=gpu_inference.inference, training=gpu_training.training,
             operations=gpu_training.operations, compiled=gpu_inference.compiled)
TITLES = dict(
    inference='Inference, one image: milliseconds, median (10 % to 90 %)',
    training='Training step: losses and gradients',
    heads="SOLOv2's head from the neck's maps to masks, milliseconds",
    targets='Targets of a picture, milliseconds', nms='Matrix NMS, milliseconds')
#: Frames a second that the authors state for these models, and their hardware.
PUBLISHED = dict(lordre='44.6 (RTX 2080 Ti, short side 608)', solov2='18.5 (54 ms; V100)',
                 polarmask='23.9 (V100, short side 800)')


class Results:
    """What was measured, on disk after every row.

    Args:
        out: Path without ending; None to write nothing.
        about: What the figures hold for.
        minutes: After so many no row is begun.
    """

    def __init__(self, out: str | None, about: dict, minutes: float):
        self.out, self.data = out, dict(about=about, rows={}, left_out=[])
        self.end = time.monotonic() + 60 * minutes

    def time_for(self, what: str) -> bool:
        """Whether there is time for another row; notes it otherwise."""
        if time.monotonic() < self.end:
            return True
        self.data['left_out'].append(what)
        self.write()
        return False

    def add(self, table: str, row: dict) -> None:
        """Add a row to a table."""
        self.data['rows'].setdefault(table, []).append(row)
        print(f'{table}: ' + ', '.join(f'{key} {_text(value)}' for key, value in row.items()),
              flush=True)
        self.write()

    def write(self) -> None:
        """Write both files."""
        if self.out:
            for ending, text in (('json', json.dumps(self.data, indent=1)),
                                 ('md', markdown(self.data))):
                with atomic_write(f'{self.out}.{ending}') as name:
                    Path(name).write_text(text + '\n')


def markdown(data: dict) -> str:
    """The tables of :class:`Results`."""
    lines = [', '.join(f'{key} {value}' for key, value in data['about'].items()), '']
    for table, rows in data['rows'].items():
        columns = list(dict.fromkeys(key for row in rows for key in row))
        lines += [TITLES[table], '', f'| {" | ".join(columns)} |', '|---' * len(columns) + '|']
        lines += [f'| {" | ".join(_text(row.get(key)) for key in columns)} |' for row in rows]
        lines.append('')
    if data['left_out']:
        lines.append(f'Left out, for time: {", ".join(data["left_out"])}.')
    return '\n'.join(lines).rstrip()


def _text(value) -> str:
    if value is None:
        return '-'
    return f'{value:.3g}' if isinstance(value, float) and abs(value) < 100 else (
        f'{value:.0f}' if isinstance(value, float) else str(value))


def about(device: str, tiny: bool) -> dict:
    """The hardware and the versions that figures hold for."""
    found = dict(date=datetime.date.today().isoformat(), torch=torch.__version__)
    if device == 'cuda':
        found = dict(hardware=torch.cuda.get_device_name(), **found, CUDA=torch.version.cuda,
                     **{"mmcv's operators": 'compiled' if has_operators(device) else 'none'})
    else:
        found = dict(hardware=f'{platform.machine()} CPU, {torch.get_num_threads()} threads',
                     **found)
    return found | (dict(sizes='tiny: the figures mean nothing') if tiny else {})


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('parts', nargs='*', help=f'of {", ".join(PARTS)}; all if not given')
    parser.add_argument('--models', nargs='+', choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument('--device', default='cuda', choices=['cuda', 'cpu'])
    parser.add_argument('--out', help='file without its ending: .json and .md are written')
    parser.add_argument('--overwrite', action='store_true', help='replace earlier files of --out')
    parser.add_argument('--minutes', type=float, default=9)
    parser.add_argument('--repeat', type=int, default=20, help='runs that count')
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--instances', type=int, nargs='+', default=[10, 100, 300])
    parser.add_argument('--tiny', action='store_true', help='small models and pictures, to see '
                                                            'that everything runs')
    args = parser.parse_args(argv)
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f'unknown: {", ".join(sorted(unknown))}; known: {", ".join(PARTS)}')
    if args.device == 'cuda' and not torch.cuda.is_available():
        sys.exit(f'error: torch {torch.__version__} finds no GPU; --device cpu --tiny shows that '
                 'everything runs, and nothing else')
    if args.out:
        try:
            refuse_overwriting((f'{args.out}.json', f'{args.out}.md'), args.overwrite)
        except UserError as error:
            parser.error(str(error))
    args.published = PUBLISHED
    return args


def main(argv=None):
    """Measure as the command line says; returns what is written as JSON."""
    args = parse_args(argv)
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            init_default_scope('mmdet')
            results = Results(args.out, about(args.device, args.tiny), args.minutes)
            for name in args.parts or PARTS:
                PARTS[name](args, results)
            results.write()
            return results.data
    finally:
        logging.disable(logging.NOTSET)


if __name__ == '__main__':
    main()
