//! The command line of the trainer; see `vae-train --help`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    vae_train::cli::run(std::env::args_os())
}
