//! The programs that judge the recipe, `detection` and `relations`, on tables and networks so small that they take seconds.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use vae_tests::relations::Relation;

const QUICK: &str = "epochs = 2\nhidden = [8]\nlatent = 1\n";

fn run(program: &str, place: &Path, arguments: &[&str]) -> Output {
    std::fs::write(place.join("quick.toml"), QUICK).unwrap();
    let fixed = ["--seeds", "1", "--config", "quick.toml"];
    Command::new(program).args(arguments).args(fixed).current_dir(place).output().unwrap()
}

fn printed(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A folder with the table `sum`: 300 rows to train, 1,000 normal ones and 1,000 anomalies to test.
fn write_sum(folder: &Path) {
    let table = folder.join("sum");
    std::fs::create_dir_all(&table).unwrap();
    Relation::Sum.write(&table, 300, 0).unwrap();
    std::fs::rename(table.join("test_sum.csv"), table.join("test.csv")).unwrap();
}

#[test]
fn detection_judges_the_tables_of_several_folders_ranks_and_streams() {
    let place = tempfile::tempdir().unwrap();
    let [published, plain] = ["published", "plain"].map(|name| place.path().join(name));
    write_sum(&published);
    write_sum(&plain);
    let methods = "table,metric,method,percent
sum,auroc,perfect,100
sum,auroc,blind,0
sum,average_precision,perfect,100
sum,average_precision,blind,0
";
    std::fs::write(published.join("published.csv"), methods).unwrap();
    let detection = env!("CARGO_BIN_EXE_detection");
    let text = printed(&run(detection, place.path(), &["published", "plain", "sum", "--json", "--stream", "1000x2"]));
    let found: Value = serde_json::from_str(&text).unwrap();
    let [published, plain] = &found.as_array().unwrap()[..] else { panic!("{text}") };
    let standing = &published["standings"]["tables"][0]["auroc"];
    assert_eq!((standing["among"].as_u64(), standing["best"].as_f64()), (Some(3), Some(100.0)), "{standing}");
    let ours = standing["ours"].as_f64().unwrap();
    // As good as the perfect one, ours shares its rank.
    let rank = if ours < 100.0 { 2.0 } else { 1.5 };
    assert!(ours > 90.0 && standing["rank"].as_f64() == Some(rank), "{standing}");
    assert_eq!(plain["standings"], Value::Null);
    let report = &plain["tables"][0];
    assert_eq!(
        (&report["training_rows"], &report["test_rows"], &report["anomalies"]),
        (&300.into(), &2000.into(), &1000.into())
    );
    // A Gaussian sees a sum that is off; the same fit, seed and table give the same figures twice.
    let mahalanobis = &report["classical"][0];
    assert!(mahalanobis["figures"]["auroc"].as_f64().unwrap() > 0.99, "{mahalanobis}");
    let [seed, same] = [report, &published["tables"][0]].map(|report| &report["seeds"][0]);
    assert_eq!((&seed["int8"], &seed["flips"]), (&same["int8"], &same["flips"]));
    assert!((100.0 * seed["int8"]["auroc"].as_f64().unwrap() - ours).abs() < 0.006, "{seed}");
    assert!(seed["flips"]["fresh"] == 1000 && seed["fit_seconds"].as_f64().unwrap() > 0.0, "{seed}");
    // The second piece has the anomalies, so that it is all that there is.
    for stream in [&seed["stream"], &mahalanobis["stream"]] {
        let piece = &stream["pieces"][0];
        assert_eq!((&piece["first_row"], &piece["anomalies"]), (&1001.into(), &1000.into()));
        assert_eq!(piece["aurocs"], stream["pooled"]);
    }
    let by_row = seed["stream"]["pooled"]["row"].as_f64().unwrap();
    assert!((by_row - seed["int8"]["auroc"].as_f64().unwrap()).abs() < 1e-9, "{seed}");
}

#[test]
fn detection_names_a_table_that_cannot_be_judged_and_judges_the_others() {
    let place = tempfile::tempdir().unwrap();
    let tables = place.path().join("tables");
    write_sum(&tables);
    std::fs::create_dir(tables.join("broken")).unwrap();
    ["train.csv", "test.csv"]
        .iter()
        .for_each(|file| std::fs::write(tables.join("broken").join(file), "a\n1\n").unwrap());
    let output = run(env!("CARGO_BIN_EXE_detection"), place.path(), &["tables"]);
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("1 table(s) could not be judged: tables/broken"), "{errors}");
    for part in ["\nsum ", "gap to the best of Mahalanobis, mixture and neighbour: mean ", "longest fit: "] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let output = run(env!("CARGO_BIN_EXE_detection"), place.path(), &["tables", "other"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("tables has no table `other`: it has broken, sum"), "{errors}");
}

#[test]
fn relations_prints_what_is_found_and_what_int8_flips() {
    let place = tempfile::tempdir().unwrap();
    let relations = env!("CARGO_BIN_EXE_relations");
    let text = printed(&run(relations, place.path(), &["curve", "--rows", "300"]));
    for part in ["\ncurve 300, power ", "\ncurve 300, stopped ", "flips held-out rows", "\nleast AUROC, int8: "] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let errors = run(relations, place.path(), &["moon"]).stderr;
    let errors = String::from_utf8_lossy(&errors);
    assert!(errors.contains("invalid value 'moon'") && errors.contains("turbine"), "{errors}");
}
