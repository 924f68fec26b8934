FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
# Both caches outlive the layer, so a change in the sources does not build every dependency again; the
# program is copied out because what is in a cache is not in the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin otc-im \
    && cp target/release/otc-im /usr/local/bin/otc-im

FROM debian:bookworm-slim
# The program needs nothing of the system: SQLite and the root certificates are linked into it.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin otc-im
COPY --from=build /usr/local/bin/otc-im /usr/local/bin/otc-im
USER otc-im
EXPOSE 8080
# The program itself is process 1, so that it is the one that is told to stop.
ENTRYPOINT ["otc-im"]
CMD ["serve"]
