//! The commands: a face on the same workbench. STUB.

/// Runs the program.
pub fn main() -> std::process::ExitCode { todo!() }
