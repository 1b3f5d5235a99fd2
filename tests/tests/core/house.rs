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

/// All Rust sources below a folder, one behind the other.
fn sources(folder: &Path) -> String {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .map(|path| match path.extension() {
            _ if path.is_dir() => sources(&path),
            Some(extension) if extension == "rs" => std::fs::read_to_string(&path).unwrap(),
            _ => String::new(),
        })
        .collect()
}

#[test]
fn every_row_of_the_mathematics_has_its_tests_and_every_reference_its_row() {
    let text = std::fs::read_to_string(root().join("docs/mathematics.md")).unwrap();
    let sources: String =
        ["vae-core/src", "vae-train/src", "tests/tests"].iter().map(|folder| sources(&root().join(folder))).collect();
    let cells = |line: &str| line.replace("\\|", "¦").split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let (mut rows, mut tests) = (0, 0);
    for line in
        text.lines().skip_while(|line| *line != "|---:|---|---|---|---|").skip(1).take_while(|line| !line.is_empty())
    {
        rows += 1;
        let cells = cells(line);
        assert_eq!((cells.len(), &cells[1]), (7, &rows.to_string()), "{line}");
        assert!(cells[2..6].iter().all(|cell| !cell.is_empty()), "{line}");
        for name in cells[4].split('`').skip(1).step_by(2) {
            assert!(sources.contains(&format!("fn {name}()")), "row {rows}: there is no test `{name}`");
            tests += 1;
        }
    }
    assert!(rows > 50 && tests > rows, "{rows} {tests}");
    // Of the texts: where, what, rows.
    let (_, texts) = text.split_once("## The four texts").unwrap();
    let (texts, _) = texts.split_once("\n## ").unwrap();
    let mut references = 0;
    for line in texts.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| where")) {
        let cells = cells(line);
        let numbers = cells[3].split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse::<usize>().ok());
        let numbers: Vec<usize> = numbers.collect();
        assert!(!numbers.is_empty() || cells[3].contains("not there"), "{line}");
        assert!(numbers.iter().all(|number| (1..=rows).contains(number)), "{line}");
        references += numbers.len();
    }
    assert!(references > rows, "{references}");
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
