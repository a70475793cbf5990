"""What we know about Apache Flink as software: versions, JARs, memory, configuration, REST."""
