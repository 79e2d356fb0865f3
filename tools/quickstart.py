"""The whole way in minutes: data, training, evaluation, pictures (what ``make demo`` runs).

    python tools/quickstart.py [--config CONFIG] [--out work_dirs/demo]
"""
import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--config', default='configs/lordre/lordre-places_r18_shapes.py')
    parser.add_argument('--out', default='work_dirs/demo', help='folder of all results')
    parser.add_argument('--minutes', type=float, default=9.5, help='of training')
    parser.add_argument('--pictures', type=int, default=24, help='held-out images to draw')
    args = parser.parse_args()
    out = Path(args.out)
    times, start = {}, time.time()

    def step(title, *command):
        print(f'\n== {title}', flush=True)
        began = time.time()
        done = subprocess.run([sys.executable, *map(str, command)], cwd=ROOT)
        if done.returncode:
            sys.exit(f'quickstart: "{title}" failed; the command was: python '
                     + ' '.join(map(str, command)))
        times[title] = time.time() - began

    step('data', 'tools/make_shapes.py', 'data/shapes', '--train', 8000, '--val', 200,
         '--size', 128)
    # by the clock: on a slow machine there are fewer steps, and the schedule still ends
    step('training', 'tools/train.py', args.config, '--work-dir', out, '--amp', '--minutes',
         args.minutes, '--overwrite')
    checkpoint = Path((ROOT / out / 'last_checkpoint').read_text().strip())
    step('evaluation', 'tools/test.py', args.config, checkpoint, '--eval', 'segm',
         '--work-dir', out / 'test')
    pictures = sorted((ROOT / 'data/shapes/val').iterdir())[:args.pictures]
    step('pictures', 'tools/demo.py', *pictures, args.config, checkpoint, '--out',
         out / 'pictures', '--score-thr', 0.35, '--overwrite')

    results = sorted((ROOT / out / 'test').glob('*/*.json'))[-1]
    metrics = json.loads(results.read_text())
    print(f'\nmask AP (0.50:0.95) on the held-out images: {metrics["coco/segm_mAP"]:.3f}')
    print('time: ' + ', '.join(f'{k} {v:.0f} s' for k, v in times.items())
          + f', all {time.time() - start:.0f} s')
    print(f'pictures: {out / "pictures"}\ncheckpoint: {checkpoint}')


if __name__ == '__main__':
    main()
