"""Headrace: Apache Flink JAR jobs behind the Data Lake Insight (DLI) HTTP API, self-hosted."""

__version__ = "0.1.0"
