# The service with its weights, for NVIDIA GPUs; it also runs without one.
#   docker build -t lrpserve .
#   docker run --rm --gpus all -p 8000:8000 lrpserve
#
# torch's wheels bring their own CUDA libraries. Of the base only Ubuntu and what lets a container
# reach the driver are used, so it is the small "base" flavour. Its Python has to be 3.11 or newer
# (Ubuntu 24.04: 3.12; 22.04 has 3.10). CUDA 13.0 needs NVIDIA driver 580 or newer.
ARG BASE_IMAGE=nvidia/cuda:13.0.1-base-ubuntu24.04

# 1. what installs; nothing of it stays in the image
FROM ${BASE_IMAGE} AS installer
# hadolint ignore=DL3008 # Debian and Ubuntu keep one version of a package; the base image pins it
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY constraints.txt ./
RUN python3 -m venv uv && uv/bin/pip install --no-cache-dir -c constraints.txt uv

# 2. our own code and the weights
FROM installer AS project
COPY pyproject.toml README.md LICENSE ./
COPY training training
COPY service service
# the bytecode is made here, as the service's user may not write it: a start takes half the time
ARG UV_BUILD_CONSTRAINT=constraints.txt UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_SYSTEM_CERTS=1
RUN uv/bin/uv venv --python /usr/bin/python3 /opt/venv \
    && uv/bin/uv pip install --python /opt/venv/bin/python --no-deps --target /opt/lrpserve .

# 3. what runs: Python and two folders, no installer and no build tools
FROM ${BASE_IMAGE}
# hadolint ignore=DL3008 # as above
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin lrpserve
WORKDIR /opt/lrpserve
# The dependencies are installed here rather than copied, and CUDA's libraries, torch and the rest
# in a layer each: an engine keeps up to four copies of what it copies, and of a layer that it
# writes. A build takes 15 GB of disk like this; with one layer in a stage of its own, more than 18.
ARG UV_BUILD_CONSTRAINT=/build/constraints.txt UV_CONSTRAINT=/build/constraints.txt
ARG UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_SYSTEM_CERTS=1 VIRTUAL_ENV=/opt/venv
RUN --mount=type=bind,from=installer,source=/build,target=/build \
    /build/uv/bin/uv venv --python /usr/bin/python3 /opt/venv \
    && grep '^nvidia-' /build/constraints.txt >/tmp/cuda.txt \
    && /build/uv/bin/uv pip install --no-deps -r /tmp/cuda.txt \
    && rm /tmp/cuda.txt
RUN --mount=type=bind,from=installer,source=/build,target=/build \
    /build/uv/bin/uv pip install torch
RUN --mount=type=bind,from=installer,source=/build,target=/build \
    --mount=type=bind,source=pyproject.toml,target=/tmp/pyproject.toml \
    /build/uv/bin/uv pip install -r /tmp/pyproject.toml --extra redis --extra otel --extra grpc
COPY --from=project /opt/lrpserve /opt/lrpserve
# for /version: docker build --build-arg COMMIT="$(git rev-parse HEAD)"
ARG COMMIT=""
ENV LRPSERVE_COMMIT=$COMMIT
# matplotlib looks for a folder that it may write, and the user has no home
ENV PATH=/opt/lrpserve/bin:/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/lrpserve \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-m", "service.healthcheck"]
CMD ["lrpserve", "serve", "--host", "0.0.0.0", "--port", "8000"]
