_base_ = './_base_/lordre_coco.py'
