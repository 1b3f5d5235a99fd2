//! tmp
fn main() {
    std::fs::create_dir_all("/tmp/bench").unwrap();
    vae_tests::bench::write_models(std::path::Path::new("/tmp/bench")).unwrap();
}
