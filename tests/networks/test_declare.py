import pytest
import yaml

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
