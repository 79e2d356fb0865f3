# How the input of models with a ResNet is prepared: by the mean and the deviation of ImageNet.
model = dict(
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        non_blocking=True,  # the next batch goes to a GPU while it is at work
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        # the heads read masks as they are; what lies in the padding counts as empty
        pad_mask=False,
        pad_size_divisor=32))
