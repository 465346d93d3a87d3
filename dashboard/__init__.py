"""Streamlit dashboard: shows the KPI marts live, reading only the schemas kpi and ops as a read-only role."""
