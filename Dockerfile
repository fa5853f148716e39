# The gateway, the simulator for `gempool demo`, and what they import; docs/deploy.md tells how it is run.
# The wheels of requirements.lock are all that is installed, so neither stage has a compiler.

FROM python:3.13.14-slim-trixie AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

RUN python3 -m venv /opt/gempool

COPY requirements.lock /opt/build/

RUN /opt/gempool/bin/pip install --require-hashes --only-binary :all: --no-compile -r /opt/build/requirements.lock

COPY . /opt/app/

# The same editable install as everywhere: it leaves the path of /opt/app, the version and the command. What follows takes
# out what nothing here imports: the installers, the invented names that Litestar's tests draw on, and the tests, headers
# and type stubs that wheels bring along. The byte code is made here, since the root is read-only where it runs; UNCHECKED, so that no start compares it with its source.
RUN /opt/gempool/bin/pip install --no-deps --no-build-isolation --no-index --editable /opt/app \
    && /opt/gempool/bin/pip uninstall --yes faker setuptools pip \
    && cd /opt/gempool/lib/python3.*/site-packages \
    && find . -depth -type d \( -name tests -o -name include -o -name typings \) -exec rm -r {} + \
    && find . -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.pyx' \) -delete \
    && rm -rf cv2/data /opt/app/*.egg-info/SOURCES.txt \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash . /opt/app


FROM python:3.13.14-slim-trixie

LABEL org.opencontainers.image.title="gemini-pool-gateway" \
      org.opencontainers.image.description="One dependable OpenAI- and Gemini-compatible API in front of several Google accounts' Gemini web apps" \
      org.opencontainers.image.licenses="AGPL-3.0-or-later"

COPY --from=build /opt/gempool /opt/gempool
COPY --from=build /opt/app /opt/app

# A number, so that an orchestrator can see that it is not root; docs/deploy.md names it for the files that it must read.
RUN mkdir -p /config \
    && install -d -o 10001 -g 10001 -m 0700 /data

ENV PATH=/opt/gempool/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8100 \
    GEMPOOL_ACCOUNTS_FILE=/config/accounts.yaml \
    GEMPOOL_DATA_DIR=/data

# The configuration is config/gateway.yaml below this, where there is one.
WORKDIR /
USER 10001:10001
VOLUME /data
EXPOSE 8100
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --start-interval=1s --retries=3 CMD ["gempool", "health"]

ENTRYPOINT ["gempool"]
CMD ["serve"]
