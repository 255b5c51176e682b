"""The audio-visual network: two branches, four fusions, and the form that is exported."""

from training.network.audio import AudioBranch
from training.network.emotion import EmotionNetwork, NetworkConfig, NetworkOutput
from training.network.resnet import ResNet18
from training.network.serving import ServingNetwork, Temperatures, choose_prediction

__all__ = [
    "AudioBranch",
    "EmotionNetwork",
    "NetworkConfig",
    "NetworkOutput",
    "ResNet18",
    "ServingNetwork",
    "Temperatures",
    "choose_prediction",
]
