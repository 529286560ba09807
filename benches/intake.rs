//! How much the bridge takes in, and how fast.

fn main() {}
