# docker build -t anomri --build-arg TORCH_INDEX=INDEX .
# INDEX: the package index of PyTorch's CPU builds, or of those for a CUDA version, as PyTorch's
# installation page names it; without it pip takes the build that is the default of the platform.
# docker run --rm --network none --read-only --tmpfs /tmp -u "$(id -u):$(id -g)" \
#   -v /my/bids:/data:ro -v /my/results:/out anomri /data /out participant
FROM debian:bookworm-slim AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 ca-certificates \
    && rm -rf /var/lib/apt/lists/*

FROM python AS build
ARG TORCH_INDEX=""
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv
COPY . /src
RUN TORCH_INDEX="$TORCH_INDEX" /src/.ci/install-in-image

FROM python
COPY --from=build /opt/anomri /opt/anomri
ENV PATH=/opt/anomri/bin:/usr/bin:/bin MPLCONFIGDIR=/tmp/matplotlib PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["anomri", "bids-app"]
