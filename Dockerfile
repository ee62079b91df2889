# Twinport: one image, both roles. RUN_AS_MIRROR=true starts the mirror, without it the push service starts.
#
#   docker build -t twinport .
#
# BUILD_IMAGE has a shell and a Node with npm; of it only three libraries reach the result.
# BASE_IMAGE has glibc, not older than that of BUILD_IMAGE; it needs no shell, no libstdc++ and no Node.
# The Node that runs is the one that package-lock.json locks (the node-linux-* packages), not that of BUILD_IMAGE.
ARG BUILD_IMAGE=docker.io/library/node:26-bookworm-slim
ARG BASE_IMAGE=gcr.io/distroless/base-nossl-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY . .
# One step, so that neither the packages that only building needs nor npm's cache are stored in a layer, and what the
# image takes is moved and not copied. No package of ours needs an install script. The parts, so that a change of the
# source makes one small layer of the image:
#   /out/node     the locked Node with the libraries that it needs beyond glibc's own
#   /out/packages the packages of production
#   /out/program  the compiled program
#   /out/bin      the command `twinport`, for `docker exec`: run by that Node, since there is no /usr/bin/env
#   /out/empty    the folders for data and spool: a new volume takes its owner from them
RUN set -eu; \
    npm ci --ignore-scripts --no-audit --no-fund --cache /tmp/npm; \
    npm run build; \
    npm prune --omit=dev --ignore-scripts --no-audit --no-fund --offline --cache /tmp/npm; \
    rm -rf /tmp/npm; \
    mkdir -p /out/node/bin /out/node/lib /out/packages /out/program /out/bin /out/empty; \
    node="$(readlink -f node_modules/.bin/node)"; \
    if ldd "$node" | grep 'not found' >&2; then echo 'BUILD_IMAGE lacks what Node needs (above)' >&2; exit 1; fi; \
    mv "$node" /out/node/bin/node; \
    for library in libstdc++.so.6 libgcc_s.so.1 libatomic.so.1; do \
      file="$(ldd /out/node/bin/node | awk -v name="$library" '$1 == name { print $3 }')"; \
      if [ -n "$file" ]; then cp -L "$file" /out/node/lib/; fi; \
    done; \
    rm -rf node_modules/node-linux-* node_modules/node-bin-* node_modules/.bin node_modules/.package-lock.json; \
    mv node_modules /out/packages/; \
    sed -i '1s|^#!.*|#!/opt/node/bin/node|' dist/services/twinport.js; \
    chmod 755 dist/services/twinport.js; \
    ln -s /opt/twinport/dist/services/twinport.js /out/bin/twinport; \
    mv package.json dist /out/program/; \
    if [ -f LICENSE ]; then mv LICENSE /out/program/; fi

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Twinport" \
      org.opencontainers.image.description="One registry, two ports: push service and pull-through mirror over one store" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/node /opt/node
COPY --from=build /out/packages /opt/twinport
COPY --from=build /out/program /opt/twinport
COPY --from=build /out/bin /usr/local/bin
COPY --from=build --chown=65532:65532 /out/empty /var/lib/twinport
COPY --from=build --chown=65532:65532 /out/empty /var/spool/twinport
# File work runs on libuv's threads, and each fsync holds one: the default of four would make pushes wait for each other.
ENV NODE_ENV=production \
    UV_THREADPOOL_SIZE=16 \
    LD_LIBRARY_PATH=/opt/node/lib \
    DATA_DIR=/var/lib/twinport
WORKDIR /opt/twinport
USER 65532:65532
# The push service, the mirror, and the metrics and probes of each.
EXPOSE 5000 5001 9090 9091
STOPSIGNAL SIGTERM
# Short collections of a small young generation: 20 MB less for each process, and no slower.
ENTRYPOINT ["/opt/node/bin/node", "--max-semi-space-size=4", "/opt/twinport/dist/services/main.js"]
