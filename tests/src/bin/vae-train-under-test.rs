//! The trainer's command line, built here so that cargo tells the tests of this package where it is.

fn main() -> std::process::ExitCode {
    vae_train::cli::run(std::env::args_os())
}
