# The image runs from dist/ and has no embedded ClickHouse: set FIXGATE_CLICKHOUSE_URL (deploy/compose.yaml does).
# A codec package of your own is put into /app/node_modules, by a volume or an image on top of this one (codecs/README.md).
ARG NODE_IMAGE=node:24-bookworm-slim
FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# Only the embedded ClickHouse (560 MB) is left out: the binaries of the compiler and of lmdb are optional dependencies, too.
RUN npm pkg delete optionalDependencies.chdb && npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY codecs codecs
COPY web web
COPY tools/build tools/build
# The link is where a codec package finds fixgate/codec and fixgate/wire.
RUN npm run build && npm prune --omit=dev && ln -s .. node_modules/fixgate

FROM ${NODE_IMAGE}
# Given by tools/release.sh.
ARG VERSION= REVISION= CREATED= BASE_DIGEST=
LABEL org.opencontainers.image.title="fixgate" \
  org.opencontainers.image.description="The server that GPS trackers talk to" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.created="${CREATED}" \
  org.opencontainers.image.base.digest="${BASE_DIGEST}"
ENV NODE_ENV=production FIXGATE_DATA_DIR=/data FIXGATE_HTTP_HOST=0.0.0.0
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE CHANGELOG.md ./
COPY bin bin
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 5027/tcp 5027/udp 5023/tcp 5023/udp 5013/tcp 5013/udp 5015/tcp 5015/udp 5004/tcp 5004/udp 5000/tcp 5000/udp 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.FIXGATE_HTTP_PORT || 8080}/readyz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "bin/fixgate.js", "serve"]
