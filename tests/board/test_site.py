"""The site: complete on disk, and in a real browser."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from sfda_bench.board import figures, gallery
from sfda_bench.board.boards import make_boards
from sfda_bench.board.build import build, write
from sfda_bench.board.guide import HOW_TO_READ
from sfda_bench.board.loading import load_items
from sfda_bench.board.reported import load_all
from sfda_bench.board.site import MARKDOWN
from sfda_bench.errors import BenchError
from sfda_bench.paths import RESULTS
from tests.board.factory import make_record, small_suite

BOARD = 'pocket__synthia_to_cityscapes__deeplabv2_pocket'


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """A site of two boards, one with curves and pictures, one with reported numbers."""
    folder = tmp_path_factory.mktemp('site')
    records, out = folder / 'records', folder / 'results'
    curve = [dict(iteration=i, miou=m) for i, m in ((100, 41.0), (200, 45.5), (300, 44.0))]
    task = dict(task='synthia_to_cityscapes', scoring='synthia16_avg@1')
    small_suite(records, (0,), **task)
    make_record(records, 'cotta', 0, 0.55, track='test-time', curve=curve, **task)
    for seed in range(3):
        make_record(
            records, 'iapc', seed, 0.63, suite='paper', profile='paper', source=36.6,
            network='deeplabv2_r101', inference='dlv2_caffe@2',
        )  # fmt: skip
    boards = make_boards(load_items(records), 200, load_all())
    fake_gallery(boards[1], out / 'site')
    write(build(records, 200, site=out / 'site'), out)
    return out / 'site'


def fake_gallery(board, folder):
    """Pictures that need no data: noise, and stripes of classes."""
    assert board.key.slug == BOARD
    folder = folder / gallery.FOLDER / BOARD
    rng = np.random.default_rng(0)
    pictures = []
    for i in range(3):
        name = f'frame_{i:03d}'
        (folder / name).mkdir(parents=True)
        Image.fromarray(rng.integers(0, 255, (48, 96, 3), dtype=np.uint8)).save(
            folder / name / 'image.jpg'
        )
        truth = np.tile(np.arange(96, dtype=np.uint8) // 6 % 19, (48, 1))
        files = {}
        for place, row in enumerate(board.rows):
            files[row.title] = f'{name}/{place:02d}.png'
            data = gallery._label_png(np.roll(truth, place, 1), gallery.CITYSCAPES_PALETTE)
            (folder / files[row.title]).write_bytes(data)
        (folder / name / 'truth.png').write_bytes(
            gallery._label_png(truth, gallery.CITYSCAPES_PALETTE)
        )
        miou = {row.title: 40.0 + i * place for place, row in enumerate(board.rows)}
        pictures.append(
            dict(sample_id=name, condition='', image=f'{name}/image.jpg',
                 truth=f'{name}/truth.png', predictions=files, miou=miou)
        )  # fmt: skip
    found = gallery.Gallery(
        board=BOARD, source='Source only', methods=[r.title for r in board.rows], pictures=pictures
    )
    (folder / gallery.INDEX).write_text(found.model_dump_json())


def test_every_page_is_there_and_every_link_leads_to_a_file(site):
    pages = sorted(path.name for path in site.glob('*.html'))
    assert pages == sorted(
        ['index.html', 'reproduction.html', f'{BOARD}.html',
         'paper__gta5_to_cityscapes__deeplabv2_r101.html']
    )  # fmt: skip
    for page in site.glob('*.html'):
        for target in re.findall(r'(?:href|src)="([^"#][^"]*)"', page.read_text()):
            if not target.startswith(('data:', 'https://')):
                assert (site / target).is_file(), (page.name, target)


def test_links_out_of_the_committed_site_lead_somewhere():
    """Paper, code, config and records of every row, files of every board."""
    folder = RESULTS / 'site'
    for page in sorted(folder.glob('pocket__*.html')):
        text = page.read_text()
        ids = set(re.findall(r' id="([^"]+)"', text))
        for target in re.findall(r'href="([^"]+)"', text):
            if target.startswith('#'):
                assert target[1:] in ids, (page.name, target)
            elif not target.startswith(('data:', 'https://')):
                assert (folder / target).is_file(), (page.name, target)
        for row in re.findall(r'<tr id="row-.*?</tr>', text, flags=re.DOTALL):
            name = re.search(r'class="name"[^>]*>([^<]*)', row)[1]
            links = re.findall(r'>([a-z0-9]+)</a>', row[row.index('class="links"') :])
            assert 'config' in links and 's0' in links, name
            bound = 'class="bound"' in row
            assert bound or 'bib' in links, name
            assert bound or 'paper' in links or name == 'URMA', name
        for told in ('Measured 20', ', commit', 'Seed'):
            assert told in text.split('class="files"')[0]


def test_a_page_names_no_folder_outside_of_the_results(tmp_path):
    make_record(tmp_path / 'elsewhere' / 'records', 'tent')
    out = tmp_path / 'site' / 'results' / 'site'
    files = build(tmp_path / 'elsewhere' / 'records', 50, site=out)
    assert 'elsewhere/' not in ''.join(files.values())
    inside = build(tmp_path / 'elsewhere' / 'records', 50, site=tmp_path / 'results' / 'site')
    page = inside[f'site/{BOARD.replace("synthia", "gta5")}.html']
    assert 'href="../../elsewhere/records/pocket/gta5_to_cityscapes__' in page


def test_nothing_is_fetched_from_a_network(site):
    for path in [*site.glob('*.html'), *(site / 'assets').glob('site.*')]:
        text = path.read_text()
        assert not re.search(r'(src|url\()\s*=?\s*["\']?https?:', text)
        assert not re.search(r'<link[^>]*https?:', text)


def test_names_cannot_break_out_of_a_page(tmp_path):
    make_record(tmp_path, 'tent', params={'lr': '</script><b>x'})
    page = next(text for name, text in build(tmp_path, 50).items() if name.endswith('pocket.html'))
    assert '<b>x' not in page and '&lt;/script&gt;' in page


def test_the_guide_is_a_list_and_html_in_a_text_is_shown(site):
    index = (site / 'index.html').read_text()
    guide = index[index.index('class="guide"') :].split('</section>')[0]
    bullets = [line for line in HOW_TO_READ.splitlines() if line.startswith('* ')]
    assert guide.count('<li>') == len(bullets) and guide.count('<ul>') == 1
    assert not re.search(r'\*\*|`|## ', guide)
    assert MARKDOWN.render('<script>x</script> [a](javascript:x)').count('<') == 2  # one paragraph


def test_the_committed_site_has_its_vendored_files():
    for name in ('plotly-basic.min.js', 'LICENSE.plotly.txt'):
        assert (RESULTS / 'site' / 'assets' / name).stat().st_size > 500


def test_pareto_front():
    points = [(1, 10), (2, 9), (3, 12), (3, 11), (5, 12)]
    assert figures.pareto(points) == [(1, 10), (3, 12)]


def test_figures_show_only_what_was_measured(tmp_path):
    small_suite(tmp_path, (0,))
    (board,) = make_boards(load_items(tmp_path), 50)
    assert figures.curves(board) is None and figures.reported_scatter([board]) is None
    names = {trace['name'] for trace in figures.cost(board)['data']}
    assert 'iapc' in names | {n.lower() for n in names}
    assert not any('Oracle' in name for name in names)


def test_axes_of_time_name_their_units():
    axis = figures.time_axis([2.5, 40, 200])
    assert axis['ticktext'] == ['2 s', '5 s', '10 s', '20 s', '30 s', '1 min', '2 min', '3 min']
    assert axis['tickvals'] == [2, 5, 10, 20, 30, 60, 120, 180]


def test_a_gallery_shows_where_methods_differ(tmp_path):
    small_suite(tmp_path, (0,))
    (board,) = make_boards(load_items(tmp_path), 50)
    values = np.stack([row.first.image_miou for row in board.rows])
    spread = values.max(0) - values.min(0)
    chosen = gallery.choose(board.rows, 3)
    assert spread[chosen].min() >= np.delete(spread, chosen).max()
    with pytest.raises(BenchError, match='no saved predictions'):
        gallery.make(board, tmp_path, tmp_path / 'runs', tmp_path)


def test_a_gallery_is_made_of_data_and_saved_predictions(tmp_path):
    """CamVid's layout with 12 tiny images; one method, whose prediction is void nowhere."""
    ids = [f'frame_{i:03d}' for i in range(12)]
    root = tmp_path / 'data' / 'camvid'
    rng = np.random.default_rng(0)
    for name in ids:
        for kind, image, suffix in (
            ('images', rng.integers(0, 255, (30, 40, 3), dtype=np.uint8), 'jpg'),
            ('labels', np.where(np.eye(30, 40) > 0, 255, 3).astype(np.uint8), 'png'),
        ):
            (root / kind / 'test').mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(root / kind / 'test' / f'{name}.{suffix}')
        folder = tmp_path / 'runs' / 'abc' / 'predictions'
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((30, 40), 5, np.uint8)).save(folder / f'{name}.png')
    (root / 'test.txt').write_text('\n'.join(ids))
    make_record(
        tmp_path / 'records', 'tent', suite='camvid', task='cityscapes_to_camvid',
        scoring='camvid11@1', network='cgnet', inference='camvid@1',
        stages=[dict(name='score', kind='score', id='abc')],
    )  # fmt: skip
    (board,) = make_boards(load_items(tmp_path / 'records'), 50)
    folder = tmp_path / 'site' / gallery.FOLDER / board.key.slug
    folder.mkdir(parents=True)
    (folder / 'old.png').write_bytes(b'')
    drawn = gallery.make(board, tmp_path / 'site', tmp_path / 'runs', tmp_path / 'data', number=2)
    made = drawn.gallery
    assert [p.name for p in folder.iterdir()] == ['old.png']
    gallery.write(drawn, tmp_path / 'site')
    assert len(made.pictures) == 2 and gallery.load(tmp_path / 'site', board.key.slug) == made
    assert not (folder / 'old.png').exists() and len(list(folder.parent.iterdir())) == 1
    prediction = Image.open(folder / next(iter(made.pictures[0].predictions.values())))
    assert prediction.convert('RGB').getpixel((20, 5)) == gallery.CAMVID_PALETTE[5]
    assert prediction.convert('RGB').getpixel((5, 5)) == (0, 0, 0)  # not scored there

    # Less than the gallery shows now is refused, as is a damaged picture: it stays as it is.
    before = {p: p.read_bytes() for p in folder.rglob('*') if p.is_file()}
    options = [tmp_path / 'site', tmp_path / 'runs', tmp_path / 'data']
    picture = tmp_path / 'runs' / 'abc' / 'predictions' / f'{made.pictures[0].sample_id}.png'
    picture.write_bytes(picture.read_bytes()[:40])
    with pytest.raises(BenchError, match=picture.name):
        gallery.make(board, *options, number=2)
    shutil.rmtree(tmp_path / 'runs')
    with pytest.raises(BenchError, match=r'(?s)of Tent.*--force score'):
        gallery.make(board, *options, number=2)
    assert {p: p.read_bytes() for p in folder.rglob('*') if p.is_file()} == before


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    if not shutil.which('chromedriver'):
        pytest.skip('no chromedriver')
    from tests.board.browser import Browser

    found = Browser(tmp_path_factory.mktemp('profile'))
    yield found
    found.close()


SIZES = (1440, 1024, 390)
CONTRAST = """
const light = (text) => {
  const parts = text.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
  const [r, g, b] = parts.map((p) => (p <= 0.03928 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = light(getComputedStyle(document.body).backgroundColor);
return ['body', 'main a', '.count', 'footer'].map((name) => {
  const ink = light(getComputedStyle(document.querySelector(name)).color);
  return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
});
"""


@pytest.mark.browser
@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', SIZES)
def test_every_page_opens_without_an_error_and_fits(site, browser, width, scheme, tmp_path):
    browser.prefer(scheme)
    for page in sorted(site.glob('*.html')):
        browser.open(page, width)
        assert browser.console() == [], page.name
        wide = 'return document.documentElement.scrollWidth <= window.innerWidth'
        assert browser.run(wide), f'{page.name} is wider than {width} pixels'
        size = browser.run('return parseFloat(getComputedStyle(document.body).fontSize)')
        assert size >= 14
        assert min(browser.run(CONTRAST)) >= 4.5, page.name
        ground = browser.run('return getComputedStyle(document.body).backgroundColor')
        assert (ground == 'rgb(255, 255, 255)') == (scheme == 'light')
        browser.screenshot(tmp_path / f'{page.stem}_{width}_{scheme}.png', full=True)


CELLS = """
const rows = [...document.getElementById(arguments[0]).tBodies[0].rows];
const text = (cell) => (cell.querySelector('.name') || cell).textContent;
return rows.filter(row => !row.hidden).map(row => text(row.cells[arguments[1]]));
"""
FILTER = """
for (const [name, value] of Object.entries(arguments[0])) {
  const control = document.querySelector(name === 'filter' ? 'input[data-filter=board]'
    : `select[data-choice=board][data-of=${name}]`);
  control.value = value;
  control.dispatchEvent(new Event(name === 'filter' ? 'input' : 'change'));
}
"""
COUNT = "return document.querySelector('[data-count=board]').textContent"


@pytest.mark.browser
def test_tables_sort_and_filter(site, browser):
    browser.open(site / f'{BOARD}.html', 1280)
    column = browser.run(
        "return [...document.querySelectorAll('#board thead th')].findIndex("
        "c => c.textContent === 'gain')"
    )
    click = "document.querySelectorAll('#board thead th')[arguments[0]].click()"
    browser.run(click, column)
    falling = [float(x) for x in browser.run(CELLS, 'board', column)]
    browser.run(click, column)
    rising = [float(x) for x in browser.run(CELLS, 'board', column)]
    assert falling == sorted(falling, reverse=True) and rising == falling[::-1]
    browser.run(FILTER, {'filter': 'iapc'})
    # the bounds stay
    assert set(browser.run(CELLS, 'board', 1)) == {'IAPC', 'Oracle (target labels)', 'Source only'}
    assert browser.run(COUNT) == '1 of 4 methods, 2 bounds'
    assert len(browser.run(CELLS, 'heat-classes', 0)) == 3
    browser.run('drawFigures()')
    points = "return document.querySelectorAll('#plot-cost .scatterlayer .points path').length"
    assert browser.run(points) == 1
    browser.run(FILTER, {'filter': 'bib'})  # names of links are no words of a row
    assert browser.run(COUNT) == '0 of 4 methods, 2 bounds'
    browser.run(FILTER, {'filter': '', 'track': 'test-time'})
    assert len(browser.run(CELLS, 'board', 1)) == 3
    browser.run(FILTER, {'track': '', 'mechanisms': 'statistics'})
    shown = browser.run(CELLS, 'board', 1)
    assert 2 < len(shown) < 6


@pytest.mark.browser
def test_an_address_shows_the_same_again(site, browser):
    page = site / f'{BOARD}.html'
    browser.open(page, 1280)
    usual = browser.run(CELLS, 'board', 1)
    browser.run(FILTER, {'track': 'source-free', 'filter': 'n'})
    gain = "[...document.querySelectorAll('#board thead th')].find(c => c.textContent === 'gain')"
    browser.run(f'{gain}.click(); {gain}.click()')
    second = "const s = document.getElementById('gallery-b'); s.selectedIndex = 1;"
    browser.run(f"{second} s.dispatchEvent(new Event('change'))")
    pictures = "return [...document.querySelectorAll('.strip figcaption')].map(e => e.textContent)"
    shown, captions = browser.run(CELLS, 'board', 1), browser.run(pictures)
    assert shown not in (usual, sorted(usual))
    part = browser.run('return location.hash').removeprefix('#')
    browser.open(page, 1280, part=part)
    assert browser.run(CELLS, 'board', 1) == shown and browser.run(pictures) == captions
    assert browser.run("return document.querySelector('select[data-of=track]').value") == (
        'source-free'
    )
    browser.open(page, 1280, part='board?track=nonsense&sort.board=nonsense.x')
    assert browser.run(CELLS, 'board', 1) == usual and browser.console() == []
    browser.open(page, 1280, part='row-iapc')
    assert browser.run("return document.querySelector('tr:target .name').textContent") == 'IAPC'
    browser.open(page, 1280, part='bib-tent')
    assert browser.run("return document.querySelector('details:target').open")


@pytest.mark.browser
@pytest.mark.parametrize('width', [1440, 390])
def test_heads_of_tables_stay_in_sight(site, browser, width):
    """To the page where a table fits; to its own box, in both directions, where it scrolls."""
    browser.open(site / 'index.html', width, height=300)
    browser.open(site / f'{BOARD}.html', width, height=300)
    head = """
    const table = document.getElementById('heat-classes');
    const box = table.closest('.scroll');
    table.scrollIntoView();
    window.scrollBy(0, box.classList.contains('fits') ? 120 : 0);
    box.scrollTo(150, 100);
    const place = (part, of) => of.getBoundingClientRect()[part];
    const row = [...table.tBodies[0].rows].at(-1).cells[0];
    return {fits: box.classList.contains('fits'), moved: box.scrollTop + box.scrollLeft,
      top: place('top', table.tHead.rows[0].cells[1]) - Math.max(0, place('top', box)),
      left: place('left', row) - place('left', box)};
    """
    found = browser.run(head)
    assert found['fits'] == (width > 1000) and (found['fits'] or found['moved'] > 100)
    assert abs(found['top']) <= 2 and abs(found['left']) <= 2


@pytest.mark.browser
def test_navigation_groups_boards_and_fits_a_phone(site, browser):
    page = site / f'{BOARD}.html'
    height = "return document.querySelector('header').offsetHeight"
    for width in SIZES:
        browser.open(page, width)
        assert browser.run(height) < 80
    seen = "return document.querySelector('nav').offsetHeight > 0"
    assert not browser.run(seen)
    browser.run("document.getElementById('menu').click()")
    assert browser.run(seen)
    names = browser.run(
        "return [...document.querySelectorAll('nav summary')].map(e => e.textContent)"
    )
    assert names == ['paper', 'pocket']
    here = "return [...document.querySelectorAll('nav [aria-current]')].map(e => e.textContent)"
    assert browser.run(here) == ['offline']


@pytest.mark.browser
def test_the_choice_of_colours_is_kept(site, browser):
    browser.prefer('light')
    browser.open(site / f'{BOARD}.html', 1280)
    ground = 'return getComputedStyle(document.body).backgroundColor'
    light = browser.run(ground)
    browser.run("document.getElementById('theme').click()")
    dark = browser.run(ground)
    browser.open(site / 'index.html', 1280)
    assert browser.run(ground) == dark != light
    browser.run("document.getElementById('theme').click()")
    browser.prefer('dark')
    browser.open(site / 'index.html', 1280)
    assert browser.run(ground) == light
    browser.run('localStorage.clear()')


@pytest.mark.browser
def test_a_rank_marks_whom_it_cannot_be_told_from(browser):
    browser.open(RESULTS / 'site' / 'pocket__gta5_to_cityscapes__deeplabv2_pocket.html', 1280)
    press = """
    const rows = [...document.querySelectorAll('#board tbody tr')];
    const row = rows.find((each) => each.cells[0].textContent.includes('–'));
    row.querySelector('button.rank').click();
    const of = (name) => rows.filter((each) => each.classList.contains(name)).length;
    return [row.cells[0].textContent, of('chosen'), of('tied'), of('apart')];
    """
    ranks, *marked = browser.run(press)
    first, last = (int(rank) for rank in ranks.split('–'))
    methods = len(browser.run(CELLS, 'board', 0)) - 2
    assert marked == [1, last - first, methods - 1 - last + first]
    assert browser.run(press)[1:] == [0, 0, 0]


@pytest.mark.browser
def test_pictures_are_enlarged_and_errors_have_one_colour(site, browser, tmp_path):
    browser.prefer('light')
    browser.open(site / f'{BOARD}.html', 1280)
    legend = "return [...document.querySelectorAll('.legend li')].map(e => e.textContent)"
    assert {'road', 'bicycle', 'not scored'} <= set(browser.run(legend))
    buttons = "document.querySelectorAll('#gallery-pictures .strip button')"
    browser.run(f'{buttons}[0].click()')
    viewer = "document.getElementById('viewer')"
    wide = f"return {viewer}.open && {viewer}.querySelector('img').offsetWidth"
    assert browser.run(wide) > 600
    caption = f"return {viewer}.querySelector('span').textContent"
    assert browser.run(caption) == 'frame_002: image'
    key = "new KeyboardEvent('keydown', {key: 'ArrowLeft', bubbles: true})"
    browser.run(f'{viewer}.dispatchEvent({key})')
    assert 'frame_000' in browser.run(caption) and 'against' in browser.run(caption)
    browser.run(f'{viewer}.querySelector(\'[data-step="0"]\').click()')
    assert not browser.run(f'return {viewer}.open')
    box = browser.run(
        f"const b = [...{buttons}].find(b => b.nextSibling.textContent.includes('against'));"
        'b.scrollIntoView(); const r = b.getBoundingClientRect();'
        'return [r.left, r.top, r.right, r.bottom]'
    )
    browser.screenshot(tmp_path / 'errors.png')
    left, top, right, bottom = box
    with Image.open(tmp_path / 'errors.png') as image:
        inner = image.convert('RGB').crop((left + 6, top + 6, right - 6, bottom - 6))
    assert set(inner.get_flattened_data()) == {(230, 107, 10), (51, 56, 66)}


@pytest.mark.browser
def test_missing_values_sort_last(site, browser):
    browser.open(site / f'{BOARD}.html', 1280)
    for _ in range(2):
        browser.run("document.querySelectorAll('#board thead th')[0].click()")
        ranks = browser.run(CELLS, 'board', 0)
        assert ranks[-2:] == ['–', '–'] and '–' not in ranks[:-2]


@pytest.mark.browser
def test_figures_are_drawn(site, browser):
    browser.open(site / f'{BOARD}.html', 1280)
    drawn = (
        "const places = [...document.querySelectorAll('[data-figure]')];"
        "return places.map(place => [place.id, place.querySelectorAll('.trace').length])"
    )
    found = dict(browser.run(drawn))
    assert set(found) == {'plot-cost', 'plot-curves'}
    assert all(found.values())
    browser.open(site / 'index.html', 1280)
    assert dict(browser.run(drawn))['plot-scatter'] == 2


@pytest.mark.browser
def test_pictures_load_and_are_sorted_by_disagreement(site, browser):
    browser.open(site / f'{BOARD}.html', 1280)
    broken = 'return [...document.images].filter(i => !i.complete || !i.naturalWidth).length'
    assert browser.run(broken) == 0
    titles = browser.run(
        "return [...document.querySelectorAll('.sample h3')].map(e => e.textContent)"
    )
    assert [title.split(':')[0] for title in titles] == ['frame_002', 'frame_001', 'frame_000']
    browser.run(
        "const s = document.getElementById('gallery-b');"
        "s.value = document.getElementById('gallery-a').value;"
        "s.dispatchEvent(new Event('change'))"
    )
    titles = browser.run(
        "return [...document.querySelectorAll('.sample h3')].map(e => e.textContent)"
    )
    assert all('0.0 points apart' in title for title in titles)
    assert browser.console() == []


def test_the_index_is_typed(site):
    data = json.loads((site / gallery.FOLDER / BOARD / gallery.INDEX).read_text())
    assert gallery.Gallery.model_validate(data).methods
