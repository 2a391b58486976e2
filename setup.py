"""What a wheel holds: the package, with ``mm_configs`` and shipped results inside it."""

from setuptools import find_packages, setup

BESIDE = {'sfda_bench.mm_configs': 'mm_configs', 'sfda_bench.results': 'results'}

setup(
    packages=[*find_packages(include=['sfda_bench', 'sfda_bench.*']), *BESIDE],
    package_dir=BESIDE,
    package_data={
        'sfda_bench': ['py.typed'],
        'sfda_bench.board': ['papers.bib', 'templates/*'],
        'sfda_bench.new_method': ['templates/*'],
        'sfda_bench.pocket': ['sizes.json'],
        'sfda_bench.mm_configs': ['**/*.py', '**/*.yaml'],
        'sfda_bench.results': ['reported/*.yaml', 'site/assets/*'],
    },
)
