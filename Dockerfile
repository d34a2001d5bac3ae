# Two images. `cpu` runs every process of a stack that loads no model, Prefect's own and Dask's included; `gpu` adds
# what a model needs, CUDA's libraries included, and owns a GPU. Each is started with the process as its command:
#
#     docker build --target cpu --tag limner:0.1.0 .
#     docker run --rm limner:0.1.0 limner doctor
#
# The entry point takes any command, as Prefect's Docker and Kubernetes workers give one.

FROM python:3.11.15-slim-bookworm AS base
ENV PATH=/opt/limner/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LIMNER_HOME=/var/lib/limner \
    PREFECT_HOME=/var/lib/limner/prefect
# tini passes signals on and reaps the processes of flow runs that lost their parent.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini=0.19.0-* \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 limner \
    && useradd --uid 10001 --gid limner --home-dir /var/lib/limner --shell /usr/sbin/nologin limner \
    && install --directory --owner limner --group limner --mode 0700 /var/lib/limner

FROM base AS wheel
WORKDIR /source
COPY LICENSE README.md pyproject.toml ./
COPY blocks blocks
COPY deployments deployments
COPY flows flows
COPY limner limner
COPY tasks tasks
RUN --mount=type=cache,target=/root/.cache/pip \
    pip wheel --no-deps --wheel-dir /wheel .

# What is installed is what the lock names, in wheels alone: nothing is resolved and nothing is compiled.
FROM base AS cpu-installed
COPY requirements-cluster.lock /
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/limner \
    && pip --python /opt/limner/bin/python install --no-deps --only-binary :all: --requirement /requirements-cluster.lock
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip --python /opt/limner/bin/python install --no-cache-dir --no-deps /wheel/*.whl

FROM base AS gpu-installed
COPY requirements-cluster.lock requirements-local.lock /
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/limner \
    && pip --python /opt/limner/bin/python install --no-deps --only-binary :all: \
        --requirement /requirements-cluster.lock --requirement /requirements-local.lock
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip --python /opt/limner/bin/python install --no-cache-dir --no-deps /wheel/*.whl

# `limner bootstrap` applies the prefect.yaml of the working folder, and flow runs begin in it.
FROM base AS run
WORKDIR /srv/limner
COPY LICENSE prefect.yaml ./
COPY samples samples
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--"]

FROM run AS gpu
COPY --from=gpu-installed /opt/limner /opt/limner
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
EXPOSE 4400
HEALTHCHECK --interval=30s --timeout=10s --start-period=10m CMD ["limner", "alive", "gpu-owner"]
CMD ["limner", "serve", "gpu-owner", "--host", "0.0.0.0"]

FROM run AS cpu
COPY --from=cpu-installed /opt/limner /opt/limner
EXPOSE 4300
HEALTHCHECK --interval=30s --timeout=10s --start-period=1m \
    CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:4300/health', timeout=5)"]
CMD ["limner", "serve", "gateway", "--host", "0.0.0.0"]
