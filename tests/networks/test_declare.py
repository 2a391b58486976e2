import pytest
import torch
import yaml
from torch.nn.modules.batchnorm import _BatchNorm

from sfda_bench.errors import BenchError
from sfda_bench.networks.build import build_segmentor
from sfda_bench.networks.declare import check_declaration, check_inference, with_classes
from tests.networks.helpers import CONFIGS, ROOT, config

NAMES = sorted(p.stem for p in CONFIGS.glob('*.py'))
PROTOCOLS = {
    p.stem: yaml.safe_load(p.read_text())
    for p in (ROOT / 'mm_configs' / 'protocols' / 'inference').glob('*.yaml')
}


@pytest.mark.parametrize('name', NAMES)
def test_every_network_agrees_with_itself_and_its_protocols(name):
    loaded = config(name)
    assert loaded.network.name == name
    check_declaration(loaded.network, loaded.model)
    for protocol in loaded.network.inference:
        check_inference(loaded.network, PROTOCOLS[protocol])


@pytest.mark.parametrize('name', NAMES)
def test_what_a_network_lacks_is_not_in_it(name):
    """Built without memory where its constructor allows it: only the types of layers count."""
    loaded = config(name)
    with torch.device('cpu' if loaded.model.backbone.type == 'MiT' else 'meta'):
        layers = list(build_segmentor(loaded.model).modules())
    tracked = [m for m in layers if isinstance(m, _BatchNorm) and m.track_running_stats]
    assert ('batch_norm' in loaded.network.get('lacks', [])) == (not tracked)


def test_the_pocket_segformer_is_small_and_normalises_layers_and_groups():
    network = build_segmentor(config('segformer_pocket').model)
    assert 1e5 < sum(p.numel() for p in network.parameters()) < 3e5
    kinds = {type(m).__name__ for m in network.modules() if 'Norm' in type(m).__name__}
    assert kinds == {'LayerNorm', 'GroupNorm'}


@pytest.mark.parametrize('name', NAMES)
def test_nothing_would_be_downloaded(name):
    text = str(config(name).to_dict())
    assert 'http' not in text and 'Pretrained' not in text


def test_contradictions_are_named():
    loaded = config('deeplabv2_r101')
    loaded.model.data_preprocessor.mean = [0.0, 0.0, 0.0]
    loaded.model.decode_head.align_corners = False
    with pytest.raises(BenchError, match='mean: declared') as error:
        check_declaration(loaded.network, loaded.model)
    assert 'decode_head.align_corners: declared True, model False' in str(error.value)


def test_undeclared_protocol_is_refused():
    with pytest.raises(BenchError, match='cannot be scored under the inference protocol daformer'):
        check_inference(config('deeplabv2_r101').network, PROTOCOLS['daformer'])


def test_declared_but_unsuitable_protocol_is_refused():
    network = config('deeplabv2_r101').network
    network.inference = ['daformer']
    with pytest.raises(BenchError) as error:
        check_inference(network, PROTOCOLS['daformer'])
    assert 'resize: network pillow bicubic, protocol cv2 bilinear' in str(error.value)
    assert 'align_corners: network True, protocol False' in str(error.value)


def test_sixteen_classes():
    model = build_segmentor(with_classes(config('deeplabv2_r101_multi').model, 16))
    assert model.decode_head.num_classes == model.auxiliary_head.num_classes == 16
    assert model.auxiliary_head.conv2d_list[0].weight.shape == (16, 1024, 3, 3)
