"""VGG16 and ResNet-38 (A1) segmentors restated in plain torch from their descriptions."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.networks.restated_resnet import Sum


class RestatedVGG(nn.Module):
    """Keys of AdaptSegNet's VGG checkpoints: ``features.{i}``, ``classifier.conv2d_list.{k}``."""

    def __init__(self, classes=19, used=2):
        super().__init__()
        # (index in the flat sequence, channels in and out, dilation); pools sit at 4, 9, 16
        plan = [(0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256)]
        plan += [(12, 256, 256), (14, 256, 256), (17, 256, 512), (19, 512, 512), (21, 512, 512)]
        rows = [(*row, 1) for row in plan]
        rows += [(23, 512, 512, 2), (25, 512, 512, 2), (27, 512, 512, 2)]
        rows += [(29, 512, 1024, 4), (31, 1024, 1024, 4)]
        self.features = nn.ModuleDict(
            {str(i): nn.Conv2d(a, b, 3, padding=d, dilation=d) for i, a, b, d in rows}
        )
        self.classifier = Sum(1024, classes, used)

    def features_of(self, x):
        for i in range(33):
            if str(i) in self.features:
                x = torch.relu(self.features[str(i)](x))
            elif i in (4, 9, 16):
                x = F.max_pool2d(x, 2)
        return x

    def forward(self, x):
        return self.classifier(self.features_of(x))


class RestatedA1(nn.Module):
    """Wide ResNet-38 as a list of weights and a loop; one table row a residual block."""

    # (kernel sizes, channels, stride, dilation of each convolution)
    TABLE = (
        [((3, 3), (128, 128), s, (1, 1)) for s in (2, 1, 1)]
        + [((3, 3), (256, 256), s, (1, 1)) for s in (2, 1, 1)]
        + [((3, 3), (512, 512), s, (1, 1)) for s in (2, 1, 1, 1, 1, 1)]
        + [((3, 3), (512, 1024), 1, d) for d in ((1, 2), (2, 2), (2, 2))]
        + [((1, 3, 1), (512, 1024, 2048), 1, (1, 4, 1))]
        + [((1, 3, 1), (1024, 2048, 4096), 1, (1, 4, 1))]
    )

    def __init__(self, classes=19):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.norms, self.convs = nn.ModuleList(), nn.ModuleList()
        self.projections = nn.ModuleDict()
        c_in = 64
        for row, (kernels, channels, stride, dilations) in enumerate(self.TABLE):
            if channels[-1] != c_in:
                self.projections[str(row)] = nn.Conv2d(c_in, channels[-1], 1, stride, bias=False)
            for i, (k, c, d) in enumerate(zip(kernels, channels, dilations, strict=True)):
                s = stride if i == 0 else 1
                self.norms.append(nn.BatchNorm2d(c_in, eps=1.001e-5))
                self.convs.append(nn.Conv2d(c_in, c, k, s, k // 2 * d, d, bias=False))
                c_in = c
        self.last = nn.BatchNorm2d(4096, eps=1.001e-5)
        self.hidden = nn.Conv2d(4096, 512, 3, padding=12, dilation=12)
        self.classify = nn.Conv2d(512, classes, 3, padding=12, dilation=12)

    def features_of(self, x):
        x, n = self.stem(x), 0
        for row, (kernels, *_) in enumerate(self.TABLE):
            shortcut = x
            for i in range(len(kernels)):
                x = torch.relu(self.norms[n](x))
                if i == 0 and str(row) in self.projections:
                    shortcut = self.projections[str(row)](x)
                x = self.convs[n](x)
                n += 1
            x = x + shortcut
        return torch.relu(self.last(x))

    def forward(self, x):
        return self.classify(torch.relu(self.hidden(self.features_of(x))))

    def mmseg_state(self, names):
        """Our weights under the other network's ``names``, matched by order within each kind."""
        kinds = {'stem': [self.stem], 'project': list(self.projections.values())}
        kinds['conv'], kinds['norm'] = list(self.convs), [*self.norms, self.last]
        kinds['head'] = [self.hidden, self.classify]
        state = {}
        for kind, modules in kinds.items():
            prefixes = names[kind]
            for prefix, module in zip(prefixes, modules, strict=True):
                state.update({f'{prefix}.{k}': v for k, v in module.state_dict().items()})
        return state
