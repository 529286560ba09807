//! Arguments, configuration, telemetry, then the app.

fn main() {}
