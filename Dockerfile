# syntax=docker/dockerfile:1

FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/listbridge
COPY requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/listbridge/bin/pip install --disable-pip-version-check --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md settings.py ./
COPY listbridge/ listbridge/
COPY workers/ workers/
COPY webhooks/ webhooks/
COPY simulator/ simulator/
COPY cli/ cli/
RUN /opt/listbridge/bin/pip install --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --no-log-init --uid 10001 --user-group --home-dir /data listbridge \
    && install --directory --owner listbridge --group listbridge --mode 0700 /data /data/archive
COPY --from=build /opt/listbridge /opt/listbridge
ENV PATH=/opt/listbridge/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LISTBRIDGE_DATA_DIR=/data
WORKDIR /data
USER 10001
EXPOSE 8080
CMD ["listbridge", "--help"]
