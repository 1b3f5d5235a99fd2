//! Prints how the crates are built: files, imports, circles, imports that run up, and the longest files and functions.
//! `cargo run -p vae-tests --bin house`.

use anyhow::Result;
use vae_tests::{
    house::{FLOORS_OF_CORE, FLOORS_OF_TRAINER, House},
    root,
};

fn main() -> Result<()> {
    for (crate_name, floors) in [("vae-core", FLOORS_OF_CORE), ("vae-train", FLOORS_OF_TRAINER)] {
        let house = House::read(&root().join(crate_name).join("src"))?;
        let upward = house.upward(floors)?;
        println!(
            "{crate_name}: {} files, {} imports, {} of them through the root's names, {} circles, {} that run up",
            house.files.len(),
            house.imports.len(),
            house.through_root,
            house.circles().len(),
            upward.len()
        );
        house.circles().iter().for_each(|circle| println!("  circle: {circle:?}"));
        upward.iter().for_each(|(from, to)| println!("  {} imports {}", from.display(), to.display()));
        let mut files: Vec<_> = house.files.iter().map(|file| (file.lines, file.path.display())).collect();
        files.sort_by_key(|(lines, _)| std::cmp::Reverse(*lines));
        let mut functions: Vec<_> = house
            .files
            .iter()
            .flat_map(|file| file.functions.iter().map(|(name, lines)| (*lines, name, file.path.display())))
            .collect();
        functions.sort_by_key(|(lines, ..)| std::cmp::Reverse(*lines));
        files.iter().take(10).for_each(|(lines, path)| println!("  {lines:5} lines  {path}"));
        functions.iter().take(10).for_each(|(lines, name, path)| println!("  {lines:5} lines  {name} in {path}"));
    }
    Ok(())
}
