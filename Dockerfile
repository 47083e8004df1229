# syntax=docker/dockerfile:1
# One image a service, by target: `docker build --target gateway .` Each holds the service's own source, what it shares, and the
# packages of its extra from the lock file. `--build-arg WITH=tracing` adds a further extra. How to run them: docs/containers.md.

ARG PYTHON=3.11-slim-bookworm
ARG UV=0.13
ARG NATS=2.15.1-alpine

FROM ghcr.io/astral-sh/uv:${UV} AS uv

# ---------------------------------------------------------------- packages, one environment a service

FROM python:${PYTHON} AS packages
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_CACHE_DIR=/var/cache/uv
WORKDIR /app
COPY pyproject.toml uv.lock ./
ARG WITH=""

FROM packages AS gateway-packages
RUN --mount=type=cache,target=/var/cache/uv uv sync --frozen --no-default-groups --no-install-project --extra gateway ${WITH:+--extra ${WITH}}

FROM packages AS scheduler-packages
RUN --mount=type=cache,target=/var/cache/uv uv sync --frozen --no-default-groups --no-install-project --extra scheduler ${WITH:+--extra ${WITH}}

FROM packages AS status-packages
RUN --mount=type=cache,target=/var/cache/uv uv sync --frozen --no-default-groups --no-install-project --extra status ${WITH:+--extra ${WITH}}

FROM packages AS executor-packages
RUN --mount=type=cache,target=/var/cache/uv uv sync --frozen --no-default-groups --no-install-project --extra executor ${WITH:+--extra ${WITH}}

FROM packages AS simulator-packages
RUN --mount=type=cache,target=/var/cache/uv uv sync --frozen --no-default-groups --no-install-project --extra simulator

# ---------------------------------------------------------------- what every image is made on

FROM python:${PYTHON} AS base
ENV PATH=/app/.venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LEEWARD_HTTP__PORT=8080
# The user has no entry and so no home; the Kubernetes client does not even load without one.
ENV HOME=/tmp
WORKDIR /app
# A number, so that Kubernetes can see that it is not root. Nothing in the image belongs to it.
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=6 CMD ["python", "-m", "shared.runtime.ready"]

# ---------------------------------------------------------------- the services

FROM base AS gateway
COPY --from=gateway-packages /app/.venv /app/.venv
COPY shared shared
COPY services/__init__.py services/__init__.py
COPY services/gateway services/gateway
CMD ["python", "-m", "services.gateway"]

FROM base AS scheduler
COPY --from=scheduler-packages /app/.venv /app/.venv
COPY shared shared
COPY services/__init__.py services/__init__.py
COPY services/scheduler services/scheduler
CMD ["python", "-m", "services.scheduler"]

FROM base AS status
COPY --from=status-packages /app/.venv /app/.venv
COPY shared shared
COPY services/__init__.py services/__init__.py
COPY services/status services/status
CMD ["python", "-m", "services.status"]

FROM base AS executor
COPY --from=executor-packages /app/.venv /app/.venv
COPY shared shared
COPY services/__init__.py services/__init__.py
COPY services/executor services/executor
CMD ["python", "-m", "services.executor"]

# ---------------------------------------------------------------- only for trying it out

FROM python:${PYTHON} AS folder
RUN install -d -m 0700 -o 10001 -g 10001 /data

# The official server, which has no folder that anybody but root could write to.
FROM nats:${NATS} AS nats
COPY --from=folder --chown=10001:10001 /data /data
USER 10001:10001

# Simulated clusters, each with a Velero, and the object storage that they share.
FROM base AS simulator
COPY --from=simulator-packages /app/.venv /app/.venv
COPY --from=folder --chown=10001:10001 /data /data
COPY shared/__init__.py shared/__init__.py
COPY shared/runtime/__init__.py shared/runtime/ready.py shared/runtime/
COPY simulator simulator
EXPOSE 6443 6444 6445
CMD ["python", "-m", "simulator", "--seed", "demo", "--host", "127.0.0.1", "--port", "6443", "--data", "/data"]
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=6 \
    CMD ["python", "-m", "shared.runtime.ready", "http://127.0.0.1:6443/readyz"]
