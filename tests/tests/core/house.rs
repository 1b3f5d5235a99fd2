//! The crates stand on floors: `ARCHITECTURE.md` has the drawing.

use std::path::Path;

use vae_tests::{
    house::{FLOORS_OF_CORE, FLOORS_OF_TRAINER, House},
    root,
};

/// Every import of the crate runs down, none through the root's names, none in a circle; `ARCHITECTURE.md` draws the floors in this order.
fn check(crate_name: &str, floors: &[&str]) {
    let house = House::read(&root().join(crate_name).join("src")).unwrap();
    assert_eq!(house.upward(floors).unwrap(), [], "{crate_name}: from, to");
    assert_eq!(house.circles(), Vec::<Vec<&Path>>::new(), "{crate_name}");
    assert_eq!(house.through_root, 0, "{crate_name}: imports through the root's names");
    let architecture = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut rest = &*architecture;
    for floor in floors.iter().filter(|floor| !matches!(**floor, "lib" | "main")) {
        let drawn = format!("| `{floor}` |");
        (_, rest) = rest.split_once(&drawn).unwrap_or_else(|| panic!("{drawn} is not drawn, or not in this order"));
    }
}

#[test]
fn the_cores_floors_import_from_below_and_in_no_circle() {
    check("vae-core", FLOORS_OF_CORE);
}

#[test]
fn the_trainers_floors_import_from_below_and_in_no_circle() {
    check("vae-train", FLOORS_OF_TRAINER);
}

/// A search that finds nothing in a house with a circle proves nothing.
#[test]
fn a_circle_and_an_import_that_runs_up_are_found() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("lib.rs", "pub mod ground;\nmod roof;\npub use roof::Tile;\n");
    write("ground.rs", "pub mod cellar;\n// use crate::roof::Tile;\npub const S: &str = \"use crate::roof::Tile;\";\n");
    write(
        "ground/cellar.rs",
        "use crate::{\n    ground::{self, S},\n    Tile as T,\n};\npub fn f(_: T) -> &'static str {\n    S\n}\n",
    );
    write(
        "roof.rs",
        "use super::ground::cellar::f;\n\npub struct Tile;\n\n#[cfg(test)]\nmod tests {\n    use crate::ground::S;\n}\n",
    );
    let house = House::read(place.path()).unwrap();
    let [cellar, ground, roof] = ["ground/cellar.rs", "ground.rs", "roof.rs"].map(Path::new);
    assert_eq!(house.imports.len(), 3);
    assert_eq!(house.circles(), [vec![cellar, roof]]);
    assert_eq!(house.upward(&["ground", "roof", "lib"]).unwrap(), [(cellar, roof)]);
    assert_eq!(house.upward(&["roof", "ground", "lib"]).unwrap(), [(roof, cellar)]);
    assert_eq!(house.through_root, 1);
    assert!(house.upward(&["ground", "lib"]).unwrap_err().to_string().contains("roof.rs stands on no floor"));
    assert_eq!(ground, house.files[1].path);
    assert_eq!(house.files[0].functions, [("f".to_owned(), 3)]);
}
