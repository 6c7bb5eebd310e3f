"""A small residual network for 32x32 digits, with enough work per channel that a cut is a real speed-up."""

from __future__ import annotations

from secateur_jobs.paddle_env import nn, paddle


class _Block(nn.Layer):
    """conv-BN-ReLU-conv-BN plus shortcut, then ReLU (He et al. 2016, the basic block)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(inside, outside, 3, stride=stride, padding=1, bias_attr=False)
        self.bn1 = nn.BatchNorm2D(outside)
        self.conv2 = nn.Conv2D(outside, outside, 3, padding=1, bias_attr=False)
        self.bn2 = nn.BatchNorm2D(outside)
        self.relu = nn.ReLU()
        self.shortcut: nn.Layer | None = None
        if stride != 1 or inside != outside:
            self.shortcut = nn.Sequential(
                nn.Conv2D(inside, outside, 1, stride=stride, bias_attr=False), nn.BatchNorm2D(outside)
            )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class ResidualNet(nn.Layer):
    """Images [batch, channels, height, width] to scores [batch, classes]; three stages, 1/4 the side."""

    def __init__(self, width: int, num_classes: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(channels, width, 3, padding=1, bias_attr=False)
        self.bn1 = nn.BatchNorm2D(width)
        self.relu = nn.ReLU()
        self.layer1 = _Block(width, width, 1)
        self.layer2 = _Block(width, 2 * width, 2)
        self.layer3 = _Block(2 * width, 4 * width, 2)
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(4 * width, num_classes)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        return self.fc(self.flatten(self.pool(self.layer3(self.layer2(self.layer1(x))))))


def residual_net(width: int = 16, num_classes: int = 10, channels: int = 1) -> ResidualNet:
    """Return the network; stages are ``width``, 2x and 4x wide (16: 78 k parameters, 12 M MACs at 32x32)."""
    return ResidualNet(width, num_classes, channels)
