//! Starts the recorder; everything is in the library.
fn main() -> std::process::ExitCode {
    recorder::cli::main()
}
