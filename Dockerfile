# Two stages. The first installs from the lock file and selects the files that are needed at run time. The second has
# only those: no shell, no package manager, no tests. The base is pinned to its bytes; dependabot.yml moves it.
FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS build
RUN apt-get update && apt-get install --yes --no-install-recommends binutils gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /build
RUN python -m venv /opt/venv
COPY requirements.txt ./
RUN /opt/venv/bin/pip install --no-cache-dir --no-compile --require-hashes -r requirements.txt
COPY pyproject.toml setup.py README.md LICENSE NOTICE ./
COPY config/sizes.toml config/
COPY pipeline pipeline
COPY proxy proxy
RUN /opt/venv/bin/pip install --no-cache-dir --no-compile --no-deps --no-build-isolation .
COPY .ci/image/slim.* ./
RUN python -X no_debug_ranges slim.py /opt/venv /image && install --directory --owner 10001 --group 10001 /own/data

FROM scratch
COPY --from=build /image /
COPY --from=build --chown=10001:10001 /own /
COPY LICENSE NOTICE /app/
COPY config/sizes.toml config/sizes-square.toml config/sizes-public-full.toml config/sizes-gallformers.toml \
     /app/config/
# All files are written below one folder, the scratch folder included, so the rest of the file system may be read-only.
# STORE is not set, so its default is below that folder, and S3_BUCKET alone can name a bucket.
ENV PATH=/opt/venv/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=1 \
    SIZES_FILE=/app/config/sizes.toml HOST=0.0.0.0 QUEUE=sqlite:////data/queue.db TMPDIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080 9091
HEALTHCHECK --interval=30s --timeout=7s --start-period=10s CMD ["python", "-m", "proxy.healthcheck"]
ENTRYPOINT ["gf-images"]
CMD ["serve"]
