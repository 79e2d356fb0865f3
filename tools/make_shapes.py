"""Make the embedded data set: pictures of shapes with exact masks, in COCO format."""
import sys
from pathlib import Path

# The generator needs no torch; importing it through the package would load all of mmdet.
ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT.parent if ROOT.name == '.mim' else ROOT / 'mmdet_lordre'
sys.path.insert(0, str(PACKAGE / 'datasets'))
from shapes.command import main  # noqa: E402

if __name__ == '__main__':
    main()
