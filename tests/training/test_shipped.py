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


@pytest.mark.parametrize("name", shipped())
def test_classes_and_masks_are_pytorchs(busi, name):
    model = busnet.load(name)
    info = model.info
    graph = model.to_torch()
    cases = read_busi(busi)
    assert len(cases) == 780
    dices = []
    pictures = [case.read_image() for case in cases]
    for picture, result in zip(
        pictures, model.stream(pictures, Prediction), strict=True
    ):
        box = Letterbox(*picture.shape, info.image_size)
        image = box.apply(picture.channels(1))
        with torch.no_grad():
            outputs = graph(torch.from_numpy(image)[None, None])
        label = info.classes[int(outputs["class"].argmax())]
        assert label == result.label, picture.name
        plane = box.restore(outputs["mask"].sigmoid()[0, 0].numpy())
        mask = lesion_mask(plane, info.mask_threshold, info.lesion_peak)
        dices.append(compare_masks(mask, result.mask).dice)
    assert min(dices) > 0.999, np.argsort(dices)[:5]
