"""Segment an image with an end-to-end ONNX file: python onnx_inference.py MODEL.onnx IMAGE OUT.png

Needs numpy, opencv-python and onnxruntime. The file says how its images are prepared.
"""
import json
import os
import sys

import cv2
import numpy as np
import onnxruntime


def open_model(path):
    """A session, and how the file says that its images are prepared."""
    if not os.path.isfile(path):
        sys.exit(f'error: no such file: {path}')
    try:
        session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    except Exception as error:  # onnxruntime has classes of its own, and raises many
        sys.exit(f'error: {path} is no ONNX file: {str(error).splitlines()[0]}')
    said = session.get_modelmeta().custom_metadata_map.get('mmdet_lordre')
    if said is None or 'scores' not in [output.name for output in session.get_outputs()]:
        sys.exit(f'error: {path} is no end-to-end model: write it by lordre export-onnx '
                 '--end-to-end')
    return session, json.loads(said)


def read(path, values):
    """BGR, 0 to 255; of 16 bits those between two values are spread."""
    image = cv2.imread(path, cv2.IMREAD_COLOR | (cv2.IMREAD_ANYDEPTH if values else 0))
    if image is None or image.dtype == np.uint8:
        return image
    low, high = values
    return np.rint((np.clip(image, low, high) - low) * (255 / (high - low))).astype(np.uint8)


def prepare(image, how, fixed):
    """Resize, normalize and pad; returns the input and the image's size in it."""
    height, width = image.shape[:2]
    limits = fixed or (tuple(sorted(how['scale'])) if how['scale'] else (height, width))
    if not fixed and how['keep_ratio'] and height > width:
        limits = limits[::-1]
    if how['keep_ratio']:
        factor = min(limits[0] / height, limits[1] / width)
        size = int(height * factor + 0.5), int(width * factor + 0.5)
    else:
        size = limits
    image = cv2.resize(image, size[::-1]).astype(np.float32)
    if how['bgr_to_rgb']:
        image = image[..., ::-1]
    image = (image - np.float32(how['mean'])) / np.float32(how['std'])
    padded = fixed or [-(-side // how['divisor']) * how['divisor'] for side in size]
    batch = np.zeros((1, 3, *padded), np.float32)
    batch[0, :, :size[0], :size[1]] = image.transpose(2, 0, 1)
    return batch, size


def masks_of(outputs, i, size, shape, how):
    """Mask of instance i at the size of the image."""
    if 'contours' in outputs:
        scale = np.float32([shape[1] / size[1], shape[0] / size[0]])
        shift = 0.5 * scale if how['fill'] in ('rounded', 'coco') else 0
        outer, *inner = ((outputs[name][0, i] * scale + shift).astype(np.int32)
                         for name in ('contours', 'holes') if name in outputs)
        mask = cv2.drawContours(np.zeros(shape, np.uint8), [outer], 0, 1, -1)
        for hole in inner:  # what lies inside of it, not the pixels that it goes through
            inside = cv2.drawContours(np.zeros(shape, np.uint8), [hole], 0, 1, -1)
            mask[cv2.drawContours(inside, [hole], 0, 0, 1) > 0] = 0
        return mask
    mask = outputs['masks'][0, i, :size[0], :size[1]].astype(np.float32)
    threshold = 0.5 if outputs['masks'].dtype == np.uint8 else how['mask_thr']
    return (cv2.resize(mask, shape[::-1]) > threshold).astype(np.uint8)


def main(model, path, out, least_score=0.3):
    session, how = open_model(model)
    fixed = session.get_inputs()[0].shape[2:]
    image = read(path, how.get('values'))
    if image is None:
        sys.exit(f'error: {path}: no such image, or it cannot be decoded')
    if how.get('tile') and max(image.shape) > how['tile']:
        print(f'the model was trained on crops of {how["tile"]} px: cut the picture, or small '
              'objects vanish', file=sys.stderr)
    if not cv2.haveImageWriter(out):
        sys.exit(f'error: {out}: give the name of a picture, such as OUT.png')
    batch, size = prepare(image, how, fixed if isinstance(fixed[0], int) else None)
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, {'image': batch})))
    for i in np.flatnonzero(outputs['scores'][0] > least_score):
        mask = masks_of(outputs, i, size, image.shape[:2], how)
        color = np.random.default_rng(int(i)).integers(64, 256, 3)
        image[mask > 0] = image[mask > 0] // 2 + color // 2
        label = outputs['labels'][0, i]
        name = how['classes'][label] if how['classes'] else int(label)
        print(f'{name} {outputs["scores"][0, i]:.3f} {mask.sum()} pixels')
    if not cv2.imwrite(out, image):
        sys.exit(f'error: {out} cannot be written')


if __name__ == '__main__':
    if len(sys.argv) != 4:
        sys.exit('usage: python onnx_inference.py MODEL.onnx IMAGE OUT.png')
    main(*sys.argv[1:])
