//! The program: everything is in the library.

fn main() -> std::process::ExitCode {
    rankscope::cli::main()
}
