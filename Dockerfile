# docker build -t anomri .
# docker build -t anomri:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126 .
# docker run --rm --network none --read-only --tmpfs /tmp -u "$(id -u):$(id -g)" \
#   -v /my/bids:/data:ro -v /my/results:/out anomri /data /out participant
FROM debian:bookworm-slim AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 ca-certificates \
    && rm -rf /var/lib/apt/lists/*

FROM python AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv
COPY . /src
RUN TORCH_INDEX="$TORCH_INDEX" /src/.ci/install-in-image

FROM python
COPY --from=build /opt/anomri /opt/anomri
ENV PATH=/opt/anomri/bin:/usr/bin:/bin MPLCONFIGDIR=/tmp/matplotlib PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["anomri", "bids-app"]
