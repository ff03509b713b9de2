# Two stages: the first installs from the lock file, the second holds only what runs.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/venv
COPY requirements.txt .
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY pipeline pipeline
COPY proxy proxy
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --create-home --home-dir /data gallformers
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY LICENSE NOTICE ./
COPY config config
# Leaves the bytecode of what it imports, as `pipeline.wire` has it started: compiling at each start takes time and memory.
RUN PYTHONOPTIMIZE=2 /opt/venv/bin/python -m pipeline.worker </dev/null && /opt/venv/bin/python -m proxy --help >/dev/null
ENV PATH=/opt/venv/bin:$PATH SIZES_FILE=/app/config/sizes.toml PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 STORE=file:///data/store QUEUE=sqlite:////data/queue.db
USER gallformers
VOLUME /data
EXPOSE 8080 9091
HEALTHCHECK --interval=30s --timeout=7s --start-period=10s CMD ["python", "-m", "proxy.health"]
ENTRYPOINT ["python", "-m", "proxy"]
CMD ["serve"]
