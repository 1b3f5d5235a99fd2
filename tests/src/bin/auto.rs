//! Whether the search of `fit --auto`, which sees no labels, chooses well: of each setting, its measure and the AUROC that labels give.
//!
//! Usage: `auto FOLDER [--json] [set…]`. `FOLDER` holds the public sets (`skab`, `nab_machine_temperature`, `fan_low`); the motor and the pump
//! are simulated. `--recording NAME=FOLDER` adds a folder with train.csv and test.csv of raw samples, labelled in the column `label`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use serde_json::json;
use vae_train::{
    config::Config,
    inspection::autocorrelation::Suggestion,
    run::search::{
        budget::Budget,
        choose,
        material::Material,
        setting::Tried,
        trial::{Columns, Judge, Network, Trials, moments},
    },
    simulator::files::{write_motor, write_pump},
    statistics::metrics::Detection,
    tables::{open::open, reading::Reading, recording::Label, table::Table},
    words::output::Existing,
};

/// Rows of each of SKAB's files that are trained on, by its protocol.
const SKAB_ROWS: usize = 400;
/// Samples and axes of a recording of the fan.
const FAN: (usize, usize) = (200, 3);

/// A recording to search on, and one with labels to judge by.
struct Set {
    name: String,
    train: Table,
    test: Table,
}

fn main() -> Result<()> {
    let (mut json, mut names, mut recordings) = (false, Vec::new(), Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &argument[..] {
            "--json" => json = true,
            "--recording" => recordings.push(arguments.next().context("--recording needs NAME=FOLDER")?),
            _ => names.push(argument),
        }
    }
    ensure!(!names.is_empty(), "usage: auto FOLDER [--json] [--recording NAME=FOLDER]… [set…]");
    let folder = PathBuf::from(names.remove(0));
    let is_asked = |name: &str| names.is_empty() || names.iter().any(|asked| asked == name);
    let place = tempfile::tempdir()?;
    for name in ["motor", "pump", "skab", "nab", "fan_low"].into_iter().filter(|name| is_asked(name)) {
        judge(&load(name, &folder, place.path())?, json)?;
    }
    for recording in recordings {
        let (name, folder) = recording.split_once('=').context("--recording needs NAME=FOLDER")?;
        let [train, test] = ["train.csv", "test.csv"].map(|file| read(&Path::new(folder).join(file), &[]));
        judge(&Set { name: name.to_owned(), train: train?, test: test? }, json)?;
    }
    Ok(())
}

fn load(name: &str, folder: &Path, place: &Path) -> Result<Set> {
    let (train, test) = match name {
        "motor" => {
            write_motor(&place.join(name), 80.0, 0, Existing::Keep)?;
            (read(&place.join("motor/train.csv"), &[])?, read(&place.join("motor/test.csv"), &[])?)
        }
        "pump" => {
            write_pump(&place.join(name), 0, Existing::Keep)?;
            (read(&place.join("pump/train.csv"), &["time"])?, read(&place.join("pump/test.csv"), &["time"])?)
        }
        "nab" => {
            let series = read(&folder.join("nab_machine_temperature/series.csv"), &["timestamp"])?;
            let first = series
                .labels
                .as_ref()
                .and_then(|labels| labels.iter().position(|label| *label))
                .context("no anomaly")?;
            halves(&series, first)
        }
        "skab" => skab(&folder.join("skab"))?,
        _ => (fan(&folder.join("fan_low"), "train")?, fan(&folder.join("fan_low"), "test")?),
    };
    Ok(Set { name: name.to_owned(), train, test })
}

/// A table without these columns.
fn read(path: &Path, left_out: &[&str]) -> Result<Table> {
    let recording = open(path, Label::Usual, &Reading::default(), |_, _| {})?;
    let columns: Vec<String> =
        recording.names.iter().filter(|name| !left_out.contains(&name.as_str()) && *name != "label").cloned().collect();
    Ok(recording.select(&columns)?.0)
}

/// The first rows, and the others.
fn halves(table: &Table, at: usize) -> (Table, Table) {
    let width = table.columns.len();
    let part = |rows: std::ops::Range<usize>| Table {
        values: table.values[rows.start * width..rows.end * width].to_vec(),
        labels: table.labels.as_ref().map(|labels| labels[rows.clone()].to_vec()),
        starts: Vec::new(),
        ..table.clone()
    };
    (part(0..at), part(at..table.rows()))
}

/// One behind the other.
fn joined(tables: &[Table]) -> Result<Table> {
    let mut all = tables.first().context("no table")?.clone();
    for table in &tables[1..] {
        all.starts.push(all.rows());
        all.values.extend(&table.values);
        if let (Some(all), Some(labels)) = (&mut all.labels, &table.labels) {
            all.extend(labels);
        }
    }
    Ok(all)
}

/// The first rows of all files, and the others.
fn skab(folder: &Path) -> Result<(Table, Table)> {
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for group in ["valve1", "valve2", "other"] {
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder.join(group))?.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
        files.sort();
        for file in files {
            let recording = open(&file, Label::Column("anomaly"), &Reading::default(), |_, _| {})?;
            let columns: Vec<String> = recording
                .names
                .iter()
                .filter(|name| !["datetime", "anomaly", "changepoint"].contains(&name.as_str()))
                .cloned()
                .collect();
            let (first, rest) = halves(&recording.select(&columns)?.0, SKAB_ROWS);
            train.push(first);
            test.push(rest);
        }
    }
    Ok((joined(&train)?, joined(&test)?))
}

/// Recordings of the fan, each of its own, as 16-bit numbers; their labels stand in a table.
fn fan(folder: &Path, part: &str) -> Result<Table> {
    let bytes = fs::read(folder.join(format!("{part}_windows_i16.bin")))?;
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from(i16::from_le_bytes(*bytes))).collect();
    let of_recordings = read(&folder.join(format!("{part}.csv")), &[])?.labels.context("no labels")?;
    let (rows, axes) = FAN;
    ensure!(values.len() == of_recordings.len() * rows * axes, "{} values", values.len());
    Ok(Table {
        path: folder.join(part),
        columns: ["x", "y", "z"].map(str::to_owned).to_vec(),
        starts: (1..of_recordings.len()).map(|recording| recording * rows).collect(),
        labels: Some(of_recordings.iter().flat_map(|label| vec![*label; rows]).collect()),
        values,
        origins: Vec::new(),
    })
}

fn judge(set: &Set, json: bool) -> Result<()> {
    let channels = set.train.columns.len();
    let material = Material::of(&set.train)?;
    let moments = moments(&material.train, channels);
    let trials = Trials::of(&material.normal, material.rows, &moments, 0, |_| true);
    let pieces: Vec<usize> = set.train.pieces().map(|piece| piece.len()).collect();
    let advice = Suggestion::of(&(&set.train).into(), &(0..channels).collect::<Vec<_>>())?;
    let config = Config::default();
    let (device, rate) = (Device::flex(), None);
    let mut tried = Vec::new();
    for mut setting in Tried::all(&pieces, material.rows) {
        setting.judge_cost(&config, &set.train.columns, &Budget::default(), rate)?;
        let began = std::time::Instant::now();
        if setting.excluded.is_none()
            && let Some(network) = Network::fit(material.train.clone(), &setting.configured(&config), &device, &())?
        {
            let found = trials.aurocs(&network)?;
            let auroc = by_labels(&network, &set.test, setting.window)?;
            setting.measured(&found);
            eprintln!(
                "{} {} {} {:.3} {auroc:.4} {:.1} s",
                set.name,
                setting.window,
                setting.front_end,
                setting.measure.unwrap_or(0.0),
                began.elapsed().as_secs_f64()
            );
            tried.push((setting, auroc));
        }
    }
    let advised = Tried { window: advice.window, hop: advice.hop, front_end: "raw".into(), ..Tried::default() };
    let network = Network::fit(material.train.clone(), &advised.configured(&config), &device, &())?;
    let by_advice = network.map_or(Ok(f64::NAN), |network| by_labels(&network, &set.test, advice.window))?;
    let columns = [false, true].map(|limits| Columns::fit(&material.train, channels, limits));
    let simple: Vec<(Vec<(&str, f64)>, f64)> = columns
        .iter()
        .map(|columns| Ok((trials.aurocs(columns as &dyn Judge)?, by_labels(columns, &set.test, 1)?)))
        .collect::<Result<_>>()?;
    if json {
        println!(
            "{}",
            json!({"set": set.name, "advice": advice.window, "by_advice": by_advice, "rows": material.rows, "tried": tried, "simple": simple})
        );
        return Ok(());
    }
    print(&set.name, (advice.window, by_advice), &tried);
    Ok(())
}

/// The AUROC of windows by the labels of their rows.
fn by_labels(judge: &dyn Judge, test: &Table, window: usize) -> Result<f64> {
    let labels = test.labels.as_ref().context("the test data have no labels")?;
    let scores = judge.scores(test)?;
    let of_windows: Vec<bool> =
        scores.iter().map(|(last, _)| labels[last + 1 - window..=*last].contains(&true)).collect();
    let scores: Vec<f64> = scores.iter().map(|(_, score)| f64::from(*score)).collect();
    Ok(Detection::of(&scores, &of_windows)?.auroc)
}

/// A line of the table: what was chosen, what was best, and what a user has been advised so far, each with its AUROC.
fn print(name: &str, (advice, by_advice): (usize, f64), tried: &[(Tried, f64)]) {
    let settings: Vec<Tried> = tried.iter().map(|(setting, _)| setting.clone()).collect();
    let best = tried.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let (Some(chosen), Some((of_best, best))) = (choose(&settings), best) else { return };
    let of = |setting: &Tried| format!("{} {}", setting.window, setting.front_end);
    let (setting, auroc) = &tried[chosen];
    println!(
        "| {name} | {}, {auroc:.4} | {}, {best:.4} | {:.4} | {advice} raw, {by_advice:.4} | {:.4} |",
        of(setting),
        of(of_best),
        best - auroc,
        best - by_advice
    );
}
