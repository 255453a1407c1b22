# syntax=docker/dockerfile:1
# One static binary, in an image that holds nothing else but certificates and time zones.
#
#   docker build -t klaxon .
#   docker run --rm -t klaxon demo

FROM golang:1.26.8 AS build
WORKDIR /src
# Dependencies first: a change of our own code does not fetch them again.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
# No flags but CGO_ENABLED, as everywhere: `klaxon version` reads what the toolchain writes by itself, .git included.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -o /out/klaxon ./cmd/klaxon
# A named volume takes the owner of the folder that it is mounted over.
RUN mkdir -p /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/klaxon /usr/local/bin/klaxon
COPY --from=build --chown=nonroot:nonroot /out/data /var/lib/klaxon
COPY LICENSE NOTICE /usr/share/doc/klaxon/
USER nonroot:nonroot
WORKDIR /var/lib/klaxon
VOLUME /var/lib/klaxon
# There is no shell to start it through, so SIGTERM reaches klaxon itself, which drains and ends.
ENTRYPOINT ["/usr/local/bin/klaxon"]
CMD ["run", "-c", "/etc/klaxon/klaxon.yaml"]
