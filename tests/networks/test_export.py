import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from sfda_bench.cli.scripts import convert_checkpoint as main
from sfda_bench.networks.build import build_segmentor, logits_of
from tests.networks.helpers import ROOT, config, randomise

# nothing but mmseg's own API; run in another process, so that no module of ours is loaded before
SCRIPT = """
import sys, numpy as np
from mmseg.apis import MMSegInferencer, inference_model, init_model
model = init_model(sys.argv[1], sys.argv[2], device='cpu')
result = inference_model(model, sys.argv[3])
np.save(sys.argv[4], result.pred_sem_seg.data.numpy())
inferencer = MMSegInferencer(model=sys.argv[1], weights=sys.argv[2], device='cpu')
again = inferencer(sys.argv[3], out_dir='drawn')['predictions']
assert (again == result.pred_sem_seg.data.numpy()[0]).all()
print(len(model.dataset_meta['classes']), 'sfda_bench' in sys.modules)
"""


def infer(tmp_path, image):
    out = tmp_path / 'prediction.npy'
    args = [tmp_path / 'model.py', tmp_path / 'model.pth', image, out]
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', SCRIPT, *map(str, args)],
        capture_output=True,
        text=True,
        env=env,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return np.load(out)[0], done.stdout.split()[-2:]


@pytest.mark.parametrize(
    'name,protocol,ours',
    [
        ('cgnet', 'camvid', 'False'),
        ('deeplabv2_pocket', 'pocket', 'True'),
        ('segformer_pocket', 'pocket', 'True'),
    ],
)
def test_exported_model_works_in_mmsegs_own_api(tmp_path, capsys, name, protocol, ours):
    torch.manual_seed(0)
    loaded = config(name)
    model = randomise(build_segmentor(loaded.model))
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'final.pth')
    rgb = np.random.default_rng(0).integers(0, 256, (72, 120, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(tmp_path / 'image.png')
    arguments = ['export', '--checkpoint', tmp_path / 'final.pth', '--network', name]
    arguments += ['--inference', protocol, '--out', tmp_path / 'model']
    assert main([str(a) for a in arguments]) == 0
    prediction, said = infer(tmp_path, tmp_path / 'image.png')
    assert said == ['19', ours]
    assert (tmp_path / 'drawn' / 'vis' / 'image.png').is_file()
    card = (tmp_path / 'model.md').read_text(encoding='utf-8')
    digest = hashlib.sha256((tmp_path / 'model.pth').read_bytes()).hexdigest()
    assert digest in card and f'`{name}`' in card and 'origin | unknown' in card

    order = slice(None) if loaded.network.input.channel_order == 'rgb' else slice(None, None, -1)
    x = torch.from_numpy(rgb[:, :, order].astype(np.float32)).permute(2, 0, 1)[None]
    mean, std = (torch.tensor(loaded.network.input[k]).view(1, 3, 1, 1) for k in ('mean', 'std'))
    with torch.no_grad():
        logits = F.interpolate(
            logits_of(model, (x - mean) / std),
            size=(72, 120),
            mode='bilinear',
            align_corners=loaded.network.align_corners,
        )
    assert (prediction == logits.argmax(1)[0].numpy()).mean() > 0.999
    assert len(np.unique(prediction)) > 1


def test_export_of_a_record_takes_the_last_stage_that_trained(tmp_path, capsys):
    model = build_segmentor(config('deeplabv2_pocket').model)
    own = ROOT / 'results/records/pocket/gta5_to_cityscapes__deeplabv2_pocket__tent__s0.json'
    record = json.loads(own.read_text(encoding='utf-8'))
    for stage, name in zip(record['stages'], ('aaa', 'bbb', 'ccc'), strict=True):
        stage['id'] = name
    (tmp_path / 'record.json').write_text(json.dumps(record))
    args = ['export', '--record', str(tmp_path / 'record.json'), '--runs', str(tmp_path / 'runs')]
    args += ['--out', str(tmp_path / 'out' / 'model')]
    assert main(args) == 1
    assert 'bbb' in capsys.readouterr().err
    (tmp_path / 'runs' / 'bbb').mkdir(parents=True)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'runs' / 'bbb' / 'final.pth')
    assert main(args) == 0
    content = torch.load(tmp_path / 'out' / 'model.pth', weights_only=True)
    assert content['meta']['inference'] == 'pocket@1'
    card = (tmp_path / 'out' / 'model.md').read_text(encoding='utf-8')
    assert f'| mIoU | {record["scores"]["miou"]:.1f} under `cityscapes19@1` |' in card
    assert record['code']['commit'] in card and '`tent`, source-free' in card


def test_export_refuses_another_protocol(tmp_path, capsys):
    torch.save({'state_dict': {}}, tmp_path / 'x.pth')
    args = ['export', '--checkpoint', str(tmp_path / 'x.pth'), '--network', 'deeplabv2_pocket']
    assert main([*args, '--inference', 'daformer', '--out', str(tmp_path / 'y')]) == 1
    assert 'cannot be scored under' in capsys.readouterr().err
