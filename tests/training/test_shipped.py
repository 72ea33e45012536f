"""The shipped models on BUSI: engine and PyTorch give the same results."""

import numpy as np
import pytest
import torch

import busnet
from busnet.data import read_busi
from busnet.evaluation.overlap import compare_masks
from busnet.images import Letterbox
from busnet.lesions import lesion_mask
from busnet.models import shipped
from busnet.results import Prediction

#: Number of images that PyTorch computes together, for speed.
BATCH = 10


@pytest.mark.parametrize("name", shipped())
def test_classes_and_masks_are_pytorchs(busi, name):
    model = busnet.load(name)
    info = model.info
    graph = model.to_torch().to(memory_format=torch.channels_last)
    cases = read_busi(busi)
    assert len(cases) == 780
    dices = []
    pictures = [case.read_image() for case in cases]
    results = model.stream(pictures, Prediction)
    for start in range(0, len(pictures), BATCH):
        batch = pictures[start : start + BATCH]
        boxes = [Letterbox(*picture.shape, info.image_size) for picture in batch]
        images = np.stack(
            [b.apply(p.channels(1)) for b, p in zip(boxes, batch, strict=True)]
        )
        planes = torch.from_numpy(images)[:, None]
        with torch.no_grad():
            outputs = graph(planes.to(memory_format=torch.channels_last))
        labels = outputs["class"].argmax(1)
        lesions = outputs["mask"].sigmoid()[:, 0].numpy()
        for box, label, lesion, result in zip(
            boxes, labels, lesions, results, strict=False
        ):
            assert info.classes[int(label)] == result.label, result.name
            plane = box.restore(lesion)
            mask = lesion_mask(plane, info.mask_threshold, info.lesion_peak)
            dices.append(compare_masks(mask, result.mask).dice)
    assert len(dices) == len(cases)
    assert min(dices) > 0.999, np.argsort(dices)[:5]
