"""Run as a script: one adaptation step at 1024x512 on the CPU, prints the peak memory in MiB."""

import copy
import resource
import sys

import torch
from mmengine.config import Config

from sfda_bench.networks.build import build_segmentor, logits_of


def step(path):
    """Mean-teacher step: teacher labels without gradient, student learns from them by SGD."""
    torch.manual_seed(0)
    student = build_segmentor(Config.fromfile(path).model).train()
    teacher = copy.deepcopy(student).eval()
    trained = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)
    image = torch.randn(1, 3, 512, 1024)
    with torch.no_grad():
        labels = upsampled(teacher, image).argmax(1)
    loss = torch.nn.functional.cross_entropy(upsampled(student, image), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def upsampled(model, image):
    logits = logits_of(model, image)
    return torch.nn.functional.interpolate(logits, size=image.shape[2:], mode='bilinear')


if __name__ == '__main__':
    step(sys.argv[1])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
