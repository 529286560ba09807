//! What is configured, in memory: apps, phones, portals, lines with their opened secrets.
