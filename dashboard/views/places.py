"""To be drawn."""

import streamlit as st

st.write("soon")
