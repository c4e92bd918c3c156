# Tutelage in a container: the wheel, a C compiler for its kernels, and nobody's root.
#
#   docker build -t tutelage .                                             for processors
#   docker build -t tutelage:cuda --build-arg BASE=nvidia/cuda:12.8.1-runtime-ubuntu24.04 \
#       --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .   for GPUs; run it with --gpus all
#   docker run --rm -it -v "$PWD":/work tutelage run instructgpt model.new=nano
ARG BASE=python:3.12-slim-bookworm

FROM python:3.12-slim-bookworm AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${BASE}
# Bases of CUDA bring no Python; the one of Ubuntu serves. The compiler makes our kernels at first use, and FlexAttention's on a GPU.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc g++ libc6-dev ca-certificates \
    && (command -v python3 || apt-get install -y --no-install-recommends python3) \
    && (python3 -m venv --help > /dev/null 2>&1 && python3 -c 'import ensurepip' || apt-get install -y --no-install-recommends python3-venv python3-dev) \
    && rm -rf /var/lib/apt/lists/*
ENV PATH=/opt/tutelage/bin:$PATH PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 TOKENIZERS_PARALLELISM=false
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# torch first: what follows never replaces it.
RUN python3 -m venv /opt/tutelage && pip install "${TORCH}" --index-url "${TORCH_INDEX}"
COPY --from=wheel /wheels /wheels
RUN pip install "$(ls /wheels/tutelage-*.whl)[postgres]" && rm -rf /wheels
# Ubuntu's images have a user 1000 already.
RUN id -u 1000 > /dev/null 2>&1 || useradd --create-home --uid 1000 tutelage
RUN mkdir -p /work /cache && chown 1000 /work /cache
ENV XDG_CACHE_HOME=/cache HF_HOME=/cache/huggingface HOME=/cache
USER 1000
WORKDIR /work
VOLUME ["/work", "/cache"]
EXPOSE 8017
ENTRYPOINT ["tutelage"]
CMD ["--help"]
