# One image for every process of the project; docker-compose.yml says which command each service runs.
FROM python:3.11.15-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
COPY requirements.lock .
RUN /venv/bin/pip install --require-hashes --requirement requirements.lock

FROM python:3.11.15-slim AS app
RUN useradd --system --uid 10001 --no-create-home app
COPY --from=build /venv /venv
WORKDIR /app
COPY loader loader
COPY dbt_sales dbt_sales
COPY dashboard dashboard
COPY .streamlit/config.toml .streamlit/
COPY scripts/__init__.py scripts/csv_generator.py scripts/
COPY docker/healthcheck.py docker/
# The file system is read-only at run time: what dbt and Streamlit write goes to /tmp, and byte code is made here.
ENV PATH=/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    DBT_PROJECT_DIR=/app/dbt_sales \
    DBT_PROFILES_DIR=/app/dbt_sales \
    DBT_TARGET_PATH=/tmp/dbt/target \
    DBT_LOG_PATH=/tmp/dbt/logs \
    DBT_SEND_ANONYMOUS_USAGE_STATS=false
RUN python -m compileall -q loader dashboard scripts
USER 10001
CMD ["python", "-m", "loader", "--help"]
