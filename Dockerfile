# Twinport: one image, both roles. RUN_AS_MIRROR=true starts the mirror, anything else the push service.
#
#   docker build -t twinport .
#
# BUILD_IMAGE needs a Node with npm and a shell; nothing of it but three small libraries reaches the result.
# BASE_IMAGE needs glibc (not older than that of BUILD_IMAGE) and nothing else: no shell, no libstdc++, no Node.
# The Node that runs is the one that package-lock.json locks (the node-linux-* packages), not that of BUILD_IMAGE.
ARG BUILD_IMAGE=docker.io/library/node:26-bookworm-slim
ARG BASE_IMAGE=gcr.io/distroless/base-nossl-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
ENV NPM_CONFIG_AUDIT=false NPM_CONFIG_FUND=false NPM_CONFIG_UPDATE_NOTIFIER=false
COPY package.json package-lock.json LICENSE* ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY shared shared
COPY services services
RUN npm run build && npm prune --omit=dev --ignore-scripts
# The tree of the image under /out, in parts so that a change of the source makes one small layer.
#  runtime: the locked Node, and the libraries it needs beyond glibc's own (libstdc++, libgcc_s, libatomic)
#  app: the packages; the compiled program is copied on top of it
#  empty: becomes the folders that volumes take their owner from
RUN set -eu; \
    mkdir -p /out/runtime/bin /out/runtime/lib /out/app /out/empty; \
    node="$(readlink -f node_modules/.bin/node)"; \
    install -m 755 "$node" /out/runtime/bin/node; \
    for library in libstdc++.so.6 libgcc_s.so.1 libatomic.so.1; do \
      file="$(ldd "$node" | awk -v name="$library" '$1 == name { print $3 }')"; \
      if [ -n "$file" ]; then install -m 644 "$file" "/out/runtime/lib/$library"; fi; \
    done; \
    if ldd "$node" | grep 'not found'; then echo 'BUILD_IMAGE lacks a library that Node needs (above).' >&2; exit 1; fi; \
    rm -rf node_modules/node-linux-* node_modules/node-bin-* node_modules/.bin node_modules/.package-lock.json; \
    mv package.json LICENSE* node_modules /out/app/; \
    LD_LIBRARY_PATH=/out/runtime/lib /out/runtime/bin/node --version

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Twinport" \
      org.opencontainers.image.description="One registry, two ports: push service and pull-through mirror over one store" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/runtime /opt/node
COPY --from=build /out/app /opt/twinport
COPY --from=build /build/dist /opt/twinport/dist
COPY --from=build --chown=65532:65532 /out/empty /var/lib/twinport
COPY --from=build --chown=65532:65532 /out/empty /var/spool/twinport
ENV NODE_ENV=production \
    LD_LIBRARY_PATH=/opt/node/lib \
    DATA_DIR=/var/lib/twinport
WORKDIR /opt/twinport
USER 65532:65532
# Push service, mirror, and the metrics and probes of each.
EXPOSE 5000 5001 9090 9091
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/node/bin/node", "/opt/twinport/dist/services/main.js"]
