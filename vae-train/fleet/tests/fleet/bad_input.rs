//! What is wrong is said, and nothing is half-written.

use std::fs;

use crate::{
    device::motor_model,
    motor::{Condition, Individual},
    program::{printed, refused},
    recording::{Recording, parquet},
};

fn query(model: &str, rest: &str) -> String {
    format!("SELECT vae('{model}', {rest}")
}

#[test]
fn queries_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recording = Recording::of("a", Individual::TYPICAL, 1, &[(Condition::Normal, 500)]);
    parquet(&folder.join("a.parquet"), &[recording.batch(true)]);
    let model = motor_model();
    let model = model.to_str().unwrap();
    fs::write(folder.join("damaged.vae"), &fs::read(model).unwrap()[..5000]).unwrap();
    let over = "OVER (PARTITION BY machine ORDER BY time) AS judged FROM 'a.parquet'";
    for (sql, said) in [
        (query(model, &format!("time, x, y) {over}")), "takes 3 columns behind the time (x, y, z), and there are 2"),
        (query(model, &format!("machine, time, x, y, z) {over}")), "rate of alarms"),
        (query(model, &format!("x > 1, x, y, z) {over}")), "timestamp, or a number of seconds"),
        (query(model, &format!("'often', time, x, y, z) {over}")), "is no rate of alarms"),
        (query("none.vae", &format!("time, x, y, z) {over}")), "cannot read the model none.vae"),
        (query("damaged.vae", &format!("time, x, y, z) {over}")), "damaged.vae is no model"),
        (query("a.parquet", &format!("time, x, y, z) {over}")), "is no model"),
        (format!("SELECT vae() {over}"), "vae takes a model's file"),
        ("SELECT * FROM 'none.parquet'".to_owned(), "files are named in single quotes"),
        ("SELEKT 1".to_owned(), "cannot be read"),
        (" ".to_owned(), "the query is empty"),
        (query(model, "time, x, y, z) OVER (PARTITION BY machine ORDER BY x) FROM 'a.parquet'"), "ORDER BY the time"),
    ] {
        let message = refused(folder, &["query", &sql, "--out", "result.parquet"]);
        assert!(message.contains(said), "{sql}: {message}");
    }
    let left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing half-written: {left:?}");
}

#[test]
fn results_are_written_whole_in_each_format() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recording = Recording::of("=a", Individual::TYPICAL, 1, &[(Condition::Normal, 500)]);
    parquet(&folder.join("a.parquet"), &[recording.batch(true)]);
    let model = motor_model();
    let sql = format!(
        "SELECT * FROM (SELECT machine, vae('{}', time, x, y, z) OVER (PARTITION BY machine ORDER BY time) AS judged FROM 'a.parquet') \
         WHERE judged IS NOT NULL",
        model.display()
    );
    for name in ["r.csv", "r.json", "r.parquet"] {
        printed(folder, &["query", &sql, "--out", name]);
    }
    // (500 - 64) / 32 + 1 windows.
    let csv = fs::read_to_string(folder.join("r.csv")).unwrap();
    assert_eq!(csv.lines().count(), 15, "{csv}");
    assert!(
        csv.starts_with(
            "machine,judged.score,judged.p_value,judged.verdict,judged.channel,judged.cause,judged.alarm\n'=a,"
        ),
        "{csv}"
    );
    let json = fs::read_to_string(folder.join("r.json")).unwrap();
    assert!(json.lines().count() == 14 && json.contains("\"verdict\":\"normal\""), "{json}");
    let count = printed(folder, &["query", "SELECT count(*) AS n FROM 'r.parquet' WHERE judged['verdict'] = 'normal'"]);
    assert_eq!(count.trim(), "n\n14");
    assert!(refused(folder, &["query", &sql, "--out", "r.csv"]).contains("--force"));
    assert!(refused(folder, &["query", &sql, "--out", "r.txt"]).contains(".csv, .json"));
}

#[test]
fn backtests_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recording = Recording::of("a", Individual::TYPICAL, 1, &[(Condition::Normal, 500)]);
    parquet(&folder.join("a.parquet"), &[recording.batch(true)]);
    parquet(&folder.join("machine=b/b.parquet"), &[recording.batch(false)]);
    let model = motor_model();
    let model = model.to_str().unwrap();
    for (arguments, said) in [
        (vec!["a.parquet", "--by", "pump"], "it has no column pump; it has machine, time, x, y, z"),
        (vec!["a.parquet", "--by", "machine", "--time", "when"], "no column when"),
        (vec!["*.csv", "--by", "machine"], "names no file"),
        (vec!["**/*.parquet", "--by", "machine"], "give one kind at a time"),
        (vec!["a.parquet", "--by", "machine", "--memory", "1MiB"], "too little to sort in"),
        (vec!["a.parquet", "--by", "machine", "--out", "."], "is a directory"),
    ] {
        let mut all = vec!["backtest", model];
        all.extend(arguments);
        let message = refused(folder, &all);
        assert!(message.contains(said), "{all:?}: {message}");
    }
}
