//! `vae-fleet`: device detectors over histories of whole fleets.

fn main() -> std::process::ExitCode {
    vae_fleet::cli::main()
}
