//! What the library's examples do, they do.

#[path = "../examples/pump.rs"]
mod pump;

#[test]
fn the_library_alone_finds_a_clogging_filter() {
    pump::main().unwrap();
}
