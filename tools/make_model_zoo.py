"""Write docs/model_zoo.md from the metafiles and from measurements."""
import argparse
import sys
from pathlib import Path

from mmdet_lordre.analysis.zoo import zoo

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'model_zoo.md'


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--check', action='store_true',
                        help='write nothing; fail if the page is not up to date')
    args = parser.parse_args()
    page = zoo(ROOT)
    if not args.check:
        PAGE.write_text(page)
        print(f'written  {PAGE}')
    elif not PAGE.is_file() or PAGE.read_text() != page:
        sys.exit('docs/model_zoo.md is not up to date: run python tools/make_model_zoo.py')


if __name__ == '__main__':
    main()
