# The service with its weights, for NVIDIA GPUs; it also runs without one.
#   docker build -t lrpserve .
#   docker run --rm --gpus all -p 8000:8000 lrpserve
#
# torch's wheels bring their own CUDA libraries. Of the base only Ubuntu and what lets a container
# reach the driver are used, so it is the small "base" flavour. Its Python has to be 3.11 or newer
# (Ubuntu 24.04: 3.12; 22.04 has 3.10). CUDA 13.0 needs NVIDIA driver 580 or newer.
ARG BASE_IMAGE=nvidia/cuda:13.0.1-base-ubuntu24.04

# 1. the dependencies, in a layer that changes with constraints.txt only
FROM ${BASE_IMAGE} AS dependencies
# hadolint ignore=DL3008 # Debian and Ubuntu keep one version of a package; the base image pins it
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY pyproject.toml constraints.txt ./
# the bytecode is made here, as the service's user may not write it: a start takes half the time
ENV UV_BUILD_CONSTRAINT=constraints.txt UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_SYSTEM_CERTS=1
RUN python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir -c constraints.txt uv \
    && /opt/uv/bin/uv venv --python /usr/bin/python3 /opt/venv \
    && /opt/uv/bin/uv pip install --python /opt/venv/bin/python -c constraints.txt \
        -r pyproject.toml --extra redis --extra otel --extra grpc

# 2. our own code and the weights
FROM dependencies AS project
COPY README.md LICENSE ./
COPY training training
COPY service service
RUN /opt/uv/bin/uv pip install --python /opt/venv/bin/python --no-deps --target /opt/lrpserve .

# 3. what runs: Python and the two folders, no installer and no build tools
FROM ${BASE_IMAGE}
# hadolint ignore=DL3008 # as above
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin lrpserve
COPY --from=dependencies /opt/venv /opt/venv
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
WORKDIR /opt/lrpserve
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-m", "service.healthcheck"]
CMD ["lrpserve", "serve", "--host", "0.0.0.0", "--port", "8000"]
