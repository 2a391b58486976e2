# For the CPU:  docker build -t sfda_bench .
# With CUDA:    docker build -t sfda_bench:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126 .
# docker run --rm sfda_bench --suite pocket        (docs/install.md: what the seal needs in a container)
FROM python:3.11-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN apt-get update \
    && apt-get install -y --no-install-recommends git libgl1 libglib2.0-0 make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /sfda_bench
COPY . .
RUN python -m venv .venv \
    && .venv/bin/pip install --no-cache-dir --no-deps --index-url "$TORCH_INDEX" \
        "$(grep -E '^torch==' constraints.txt)" \
    && .venv/bin/pip install --no-cache-dir -c constraints.txt -e '.[dev]' \
    && touch .venv/.installed
ENV PATH=/sfda_bench/.venv/bin:$PATH
ENTRYPOINT ["sfda-bench"]
CMD ["--help"]
