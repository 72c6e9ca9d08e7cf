"""`alexnet` for any image size.

From a short side of 63 pixels on, the network is torchvision's, parameter for parameter. Below that its stride of 4 and
three poolings would leave nothing, so the first layer (and below 15 pixels the poolings' padding) gives way:

| short side, pixels | first convolution | max-pooling 3, stride 2 |
|---|---|---|
| 63 and more | kernel 11, stride 4, padding 2 | padding 0 |
| 40 to 62 | kernel 7, stride 2, padding 3 | padding 0 |
| 15 to 39 | kernel 5, stride 1, padding 2 | padding 0 |
| 1 to 14 | kernel 5, stride 1, padding 2 | padding 1 |

All other layers keep torchvision's shapes and names; the adaptive pooling to 6 × 6 before the classifier repeats values
where fewer are left.
"""

from torch import nn

from netwright.config.models import AlexNet
from netwright.models.input_channels import adapt_input_channels
from netwright.models.layers import output_layer
from netwright.models.request import Request


def build_alexnet(model: AlexNet, request: Request) -> nn.Module:
    """Build AlexNet with torchvision's state-dict names."""
    from torchvision.models import alexnet  # takes about a second, which the other built-ins need not wait for

    network: nn.Module = alexnet(num_classes=request.num_outputs, dropout=model.dropout)
    features, classifier = network.features, network.classifier
    assert isinstance(features, nn.Sequential)
    assert isinstance(classifier, nn.Sequential)
    short_side = min(request.image_size)
    if short_side >= 63:
        adapt_input_channels(network, request.in_channels)
    elif short_side >= 40:
        features[0] = nn.Conv2d(request.in_channels, 64, kernel_size=7, stride=2, padding=3)
    else:
        features[0] = nn.Conv2d(request.in_channels, 64, kernel_size=5, stride=1, padding=2)
    if short_side < 15:
        for layer in features:
            if isinstance(layer, nn.MaxPool2d):
                layer.padding = 1
    last = output_layer(request.output, request.num_outputs)
    if last is not None:
        classifier.append(last)
    return network
