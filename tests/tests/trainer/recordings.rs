//! Recordings have ends: no window, vote, sum or average goes over one, in any verb; several files are as many recordings.

use std::{fs, path::Path};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{Activation, ScoreKind, format::LikelihoodKind};
use vae_tests::{plain_model, tables};
use vae_train::{
    calibration::{Normal, Settings, calibrate},
    data::{for_model::cut_for_model, windows::Windows},
    file::model_file::{AlignedFile, ModelFile},
    scoring::{
        by_kind,
        detection::{Judged, Verdicts, detect},
    },
    tables::table::Table,
    weights::dense::Dense,
};

use crate::workplace::{Workplace, message};

const WINDOW: usize = 4;
const HOP: usize = 2;

/// A model of one channel that takes each window for its mean and noise.
fn model() -> ModelFile {
    let layer = |rows, columns, weights, bias| Dense { activation: Activation::Identity, rows, columns, weights, bias };
    let mean = [vec![0.25; WINDOW], vec![0.0; WINDOW]].concat();
    let encoder = vec![layer(2, WINDOW, mean, vec![0.0, -4.0])];
    let decoder = vec![layer(WINDOW, 1, vec![1.0; WINDOW], vec![0.0; WINDOW])];
    ModelFile {
        channels: vec!["x".to_owned()],
        window: WINDOW,
        hop: HOP,
        ..plain_model(encoder, decoder, LikelihoodKind::GaussianFixed, 1.0)
    }
}

/// Recordings of so many rows, each about a level of its own, so that a window across two is like none of either.
fn joined(seed: u64, pieces: &[usize]) -> Table {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values = Vec::new();
    let mut starts = Vec::new();
    for (piece, rows) in pieces.iter().enumerate() {
        starts.push(values.len());
        let level = if piece % 2 == 0 { -3.0 } else { 3.0 };
        values.extend((0..*rows).map(|_| level + rng.random_range(-1.0..1.0f32)));
    }
    starts.remove(0);
    Table {
        path: "joined.csv".into(),
        columns: vec!["x".to_owned()],
        values,
        labels: None,
        starts,
        origins: Vec::new(),
    }
}

/// Each of a table's recordings by itself, with its first row.
fn apart(table: &Table) -> Vec<(usize, Table)> {
    let piece = |rows: std::ops::Range<usize>| {
        let values = table.values[rows.clone()].to_vec();
        (rows.start, Table { values, starts: Vec::new(), ..table.clone() })
    };
    table.pieces().map(piece).collect()
}

#[test]
fn a_calibration_on_pieces_is_that_of_the_windows_of_each() {
    let file = model();
    let mut table = joined(2, &[40; 300]);
    // One value in the last three rows of a piece and the first three of the next: two runs, neither of which is six rows long.
    table.values[37..43].fill(0.5);
    let settings = Settings { votes: (2, 3), sample_rate: Some(10.0), ..Settings::default() };
    let normal = Normal { table: table.clone().into(), settings: settings.clone() };
    let (record, report) = calibrate(&file, &normal, 0.01).unwrap();

    let bytes = AlignedFile::new(&file.to_bytes().unwrap());
    let model = bytes.model().unwrap();
    let of_piece = |(_, piece): (usize, Table)| {
        let windows = cut_for_model(piece, &model).unwrap();
        by_kind(&model, &windows.values, ScoreKind::AtMean, None).unwrap()
    };
    let scores: Vec<f32> = apart(&table).into_iter().flat_map(of_piece).collect();
    assert_eq!((report.pieces, report.windows, scores.len()), (300, 300 * 19, 300 * 19));
    assert_eq!(report.scores, scores);
    assert_eq!(record.channels[0].longest_run, 3.0);
    let mut sorted = scores;
    sorted.sort_by(f32::total_cmp);
    assert_eq!((record.quantiles[0], record.quantiles[128]), (sorted[0], sorted[sorted.len() - 1]));

    // As one recording, one window in twenty spans two levels, and the lowest hundredth is of such windows.
    table.starts.clear();
    let (of_one, _) = calibrate(&file, &Normal { table: table.into(), settings }, 0.01).unwrap();
    assert!(of_one.threshold < record.threshold, "{} {}", of_one.threshold, record.threshold);
    assert_eq!(of_one.channels[0].longest_run, 6.0);
}

#[test]
fn each_piece_is_judged_as_by_a_detector_that_has_just_been_started() {
    let plain = model();
    let settings = Settings { votes: (2, 3), sample_rate: Some(10.0), ..Settings::default() };
    let (calibration, _) = calibrate(&plain, &Normal { table: joined(3, &[200; 60]).into(), settings }, 0.01).unwrap();
    let file = AlignedFile::new(&ModelFile { calibration, ..plain }.to_bytes().unwrap());
    let model = file.model().unwrap();
    // Some too short for a window, and some with a fault that lasts to their end and goes on in the next.
    let mut table = joined(4, &[30, 3, 50, 4, 41, 17, 2, 80]);
    table.values[60..110].iter_mut().for_each(|value| *value += 30.0);
    let judged = detect(model, &table).unwrap();
    let of_piece = |(first, piece): (usize, Table)| {
        let judged = detect(model, &piece).unwrap();
        judged.into_iter().map(move |judged| Judged { row: first + judged.row, ..judged })
    };
    let alone: Vec<Judged> = apart(&table).into_iter().flat_map(of_piece).collect();
    assert_eq!(judged, alone);
    assert_eq!(judged.iter().filter(|judged| judged.is_first).count(), 6);
    let rows: Vec<usize> = judged.iter().map(|judged| judged.row).collect();
    assert_eq!(rows, Windows::cut(table.clone(), 0, WINDOW, HOP).unwrap().last_row);
    // The alarm is on at the end of a piece and is raised again in the next: two alarms.
    let across = judged.windows(2).find(|pair| pair[1].is_first && pair[0].alarm).unwrap();
    assert!(across[0].row < 83 && !across[1].alarm, "a vote of the next piece is its first");
    assert_eq!(
        Verdicts::of(&judged).alarms,
        apart(&table).iter().map(|(_, piece)| alarms(model, piece)).sum::<usize>()
    );
    let of_one = detect(model, &Table { starts: Vec::new(), ..table }).unwrap();
    assert!(of_one.len() > judged.len());
}

fn alarms(model: vae_core::Model<'_>, table: &Table) -> usize {
    Verdicts::of(&detect(model, table).unwrap()).alarms
}

/// A clock of 100 Hz that begins with 0, and three dependent columns, in this order.
fn day(seed: u64, rows: usize, order: [&str; 4], rate: f64) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut text = order.join(",") + "\n";
    for row in 0..rows {
        let [a, b, c]: [f32; 3] = [(); 3].map(|()| rng.random_range(-1.0..1.0));
        let fields = order.map(|column| match column {
            "time" => format!("{}", row as f64 / rate),
            "a" => a.to_string(),
            "b" => (2.0 * a + 0.1 * b).to_string(),
            _ => (5.0 - a + 0.1 * c).to_string(),
        });
        text += &(fields.join(",") + "\n");
    }
    text
}

/// A recording of sound, of one channel.
fn wav(rate: u32, samples: &[i16]) -> Vec<u8> {
    tables::wav(1, 16, 1, rate, &samples.iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<u8>>())
}

const ORDER: [&str; 4] = ["time", "a", "b", "c"];
const FIT: &str = "--window 8 --hop 4 --epochs 2 --batch 32 --hidden 8 --latent 2";

fn with_days() -> Workplace {
    let place = Workplace::new();
    fs::create_dir(place.path("days")).unwrap();
    for (name, text) in [
        ("days/day10.csv", day(3, 300, ORDER, 100.0)),
        ("days/day1.csv", day(1, 300, ORDER, 100.0)),
        ("days/day2.csv", day(2, 250, ["b", "a", "time", "c"], 100.0)),
        ("days/notes.txt", "no table".to_owned()),
        ("new1.csv", day(4, 900, ORDER, 100.0)),
        ("new2.csv", day(5, 905, ORDER, 100.0)),
    ] {
        place.write(name, text);
    }
    place
}

#[test]
fn files_a_folder_and_a_pattern_are_one_input() {
    let place = with_days();
    let listed = "days/day1.csv days/day2.csv days/day10.csv";
    // (300 − 8) / 4 + 1, and (250 − 8) / 4 + 1.
    let windows = 74 + 61 + 74;
    let mut data = Vec::new();
    for (run, given) in [("a", listed), ("b", "days"), ("c", "days/*.csv")] {
        let fitted = place.json(&format!("fit {given} {FIT} --out {run}"));
        let count = |what: &str| fitted[what].as_u64().unwrap();
        assert_eq!(count("training_windows") + count("held_out_windows"), windows, "{given}");
        data.push(fitted["data"].clone());
        assert!(fitted["file"].as_str().unwrap().ends_with(" (3 files, 3 pieces)"), "{fitted}");
        let inspected = place.json(&format!("inspect {given}"));
        assert_eq!((inspected["rows"].as_u64(), inspected["pieces"].as_u64()), (Some(850), Some(3)));
    }
    assert!(data[0].as_str().unwrap().ends_with(", 850 rows"), "{data:?}");
    assert!(data.iter().all(|other| *other == data[0]), "{data:?}");
    let [a, b] = ["a", "b"].map(|run| fs::read(place.path(run).join("checkpoint.bin")).unwrap());
    assert!(a == b);
    // What is to be done next names what was given.
    let said = place.succeed("inspect days/day1.csv days/day2.csv");
    assert!(
        said.contains("550 rows in 2 pieces") && said.contains("vae-train fit days/day1.csv days/day2.csv "),
        "{said}"
    );

    // A run goes on with the same files, in whichever way they are given, and not with some of them.
    place.succeed(&format!("fit {listed} --out b --resume"));
    let refused = place.fail("fit days/day1.csv --out b --resume");
    assert!(refused.contains("is not what the run in b was started with"), "{refused}");
}

#[test]
fn every_verb_takes_several_files() {
    let place = with_days();
    place.succeed(&format!("fit days {FIT} --out run"));
    let calibrated = place.run("calibrate run --normal new1.csv new2.csv --votes 1/1 --force");
    let said = String::from_utf8_lossy(&calibrated.stdout).into_owned();
    // (900 − 8) / 4 + 1 and (905 − 8) / 4 + 1.
    assert!(said.contains("449 normal in 2 pieces"), "{said}");
    assert!(message(&calibrated).contains("new1.csv, new2.csv (2 files, 2 pieces)"), "{}", message(&calibrated));
    place.succeed("export run --out model.vae");
    let refused = place.fail("calibrate run --normal days");
    assert!(refused.contains("is what the model was trained on"), "{refused}");

    place.succeed("score model.vae new1.csv new2.csv --out scores.csv");
    let scores = fs::read_to_string(place.path("scores.csv")).unwrap();
    let lines: Vec<&str> = scores.lines().collect();
    assert!(lines[0].starts_with("file,row,elbo,"), "{}", lines[0]);
    let of_second: Vec<&&str> = lines.iter().filter(|line| line.starts_with("new2.csv,")).collect();
    assert!(lines[1].starts_with("new1.csv,7,") && of_second[0].starts_with("new2.csv,7,"), "{}", of_second[0]);
    assert_eq!((lines.len() - 1, of_second.len()), (224 + 225, 225));
    // Each as by itself.
    place.succeed("score model.vae new2.csv --out alone.csv");
    let alone = fs::read_to_string(place.path("alone.csv")).unwrap();
    let column = |line: &str, index: usize| line.split(',').nth(index).unwrap().to_owned();
    for (together, alone) in of_second.iter().zip(alone.lines().skip(1)) {
        assert_eq!(column(together, 9), column(alone, 8));
    }

    let label = |text: String, anomalous: std::ops::Range<usize>| -> String {
        let with = |(line, text): (usize, &str)| match line {
            0 => format!("{text},label\n"),
            row => format!("{text},{}\n", u8::from(anomalous.contains(&row))),
        };
        text.lines().enumerate().map(with).collect()
    };
    place.write("test1.csv", label(day(6, 300, ORDER, 100.0), 250..301));
    place.write("test2.csv", label(day(7, 300, ORDER, 100.0), 1..51));
    let evaluated = place.json("evaluate model.vae test1.csv test2.csv");
    // The end of one and the beginning of the other: two events, and no window that holds rows of both files.
    assert_eq!(
        (evaluated["windows"].as_u64(), evaluated["events"]["events"].as_array().unwrap().len()),
        (Some(148), 2)
    );
    let difference = place.json("diff model.vae model.vae --data test1.csv test2.csv");
    assert_eq!(difference["scores"]["windows"].as_u64(), Some(148));
    place.succeed("report run --out report.html --data test1.csv test2.csv");
    let learned = place.json("attribute run test1.csv test2.csv --label label --name end");
    assert_eq!(learned["windows_with"].as_u64().unwrap() + learned["windows_without"].as_u64().unwrap(), 148);
}

#[test]
fn files_that_do_not_belong_together_are_refused_by_name() {
    let place = with_days();
    place.write("other.csv", day(8, 100, ["time", "a", "b", "d"], 100.0));
    place.write("slow.csv", day(8, 100, ORDER, 50.0));
    place.write("labelled.csv", "time,a,b,c,label\n0,1,2,3,0\n0.01,1,2,4,1\n");
    place.write("words.csv", "time,a,b,c\n0,1,2,3\n0.01,1,oops,4\n0.02,1,2,5\n");
    place.write("one.wav", wav(8000, &[0; 40]));
    place.write("two.wav", wav(16_000, &[0; 40]));
    fs::create_dir(place.path("none")).unwrap();
    for (given, parts) in [
        ("days/day1.csv other.csv", &["other.csv lacks 1 column(s) that days/day1.csv has: `c`"][..]),
        ("other.csv days/day1.csv", &["days/day1.csv lacks 1 column(s) that other.csv has: `d`"]),
        ("days/day1.csv slow.csv", &["days/day1.csv has 100 rows a second and slow.csv has 50", "`time`"]),
        ("one.wav two.wav", &["one.wav has 8000 rows a second and two.wav has 16000", "their heads"]),
        ("days/day1.csv labelled.csv", &["labelled.csv has the label `label` and days/day1.csv has none"]),
        ("days/day1.csv words.csv", &["words.csv: row 2", "`oops`"]),
        ("days/day1.csv days", &["days/day1.csv is given twice"]),
        ("- -", &["standard input is read once"]),
        ("none", &["none is a directory without tables"]),
        ("days/*.wav", &["no file has a name as in days/*.wav"]),
        ("days missing.csv", &["cannot read missing.csv"]),
    ] {
        let said = place.fail(&format!("fit {given} {FIT} --out run"));
        assert!(parts.iter().all(|part| said.contains(part)), "{given}: {said}");
        assert!(!place.path("run").exists());
    }
    // Recordings none of which holds a window.
    let said = place.fail("fit days --window 512 --out run");
    assert!(said.contains("each of the 3 pieces") && said.contains("--window of at most 300"), "{said}");
    place.write("short.csv", day(9, 5, ORDER, 100.0));
    let output = place.run(&format!("fit days short.csv {FIT} --out run"));
    assert!(output.status.success(), "{}", message(&output));
    assert!(message(&output).contains("1 of 4 pieces, with 5 of 855 rows, are shorter than a window of 8"));
}

/// Every line of the parts but their headers.
fn lines_of(place: &Workplace, folder: &str) -> Vec<Vec<String>> {
    let read = |part: &str| {
        let text = fs::read_to_string(place.path(folder).join(part)).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<String>>()
    };
    ["training.csv", "calibration.csv", "trial.csv"].map(read).to_vec()
}

#[test]
fn split_cuts_a_recording_and_copies_its_lines() {
    let place = Workplace::new();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut text = String::from("time;\"state; said\";x;label\n");
    for row in 0..1000 {
        let (x, label) = (rng.random_range(-1.0..1.0f32), u8::from((790..830).contains(&row)));
        text += &format!("2024-05-01 12:{:02}:{:02};\"a; b\";{x:.3};{label}\n", row / 60, row % 60);
    }
    place.write("recording.csv", &text);
    let said = place.succeed("split recording.csv --out parts");
    let lines: Vec<&str> = text.lines().collect();
    let check = |folder: &str, rows: [usize; 3]| {
        let parts = lines_of(&place, folder);
        let mut at = 1;
        for (part, rows) in parts.iter().zip(rows) {
            assert_eq!((part[0].as_str(), part.len()), (lines[0], rows + 1), "{folder}");
            assert_eq!(part[1..], lines[at..at + rows], "{folder}");
            at += rows;
        }
    };
    // The event of rows 790 to 829 is not cut, and its beginning is nearer to row 800 than its end.
    check("parts", [600, 190, 210]);
    for line in [
        "training     parts/training.csv: 600 rows, 60 %, 10.0 min, 0 of them labelled 1",
        "fit parts/training.csv --out runs/a",
        "calibrate runs/a --normal parts/calibration.csv --alarms",
        "evaluate model.vae parts/trial.csv",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    // Nothing is replaced unless that is said.
    let refused = place.fail("split recording.csv --out parts --shares 1/1/1");
    assert!(refused.contains("exists") && refused.contains("--force"), "{refused}");
    check("parts", [600, 190, 210]);
    place.succeed("split recording.csv --out parts --shares 1/1/2 --force");
    check("parts", [250, 250, 500]);
    let early = place.run("split recording.csv --out late --shares 90/5/5");
    check("late", [900, 50, 50]);
    assert!(message(&early).contains("40 rows labelled 1 are in the part to train on"), "{}", message(&early));
    for (arguments, part) in [
        ("--shares 60/40", "three shares"),
        ("--shares 60/20/0", "three shares"),
        ("--shares 99998/1/1", "leave a part without rows"),
    ] {
        let output = place.run(&format!("split recording.csv --out none {arguments}"));
        assert!(!output.status.success() && message(&output).contains(part), "{}", message(&output));
    }
    assert!(!place.path("none").exists());
}

#[test]
fn split_takes_a_pipe_and_other_formats() {
    let place = with_days();
    let mut child = place
        .command("split - --out piped")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let text = fs::read(place.path("new1.csv")).unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &text).unwrap();
    assert!(child.wait().unwrap().success());
    place.succeed("split new1.csv --out parts");
    assert_eq!(lines_of(&place, "piped"), lines_of(&place, "parts"));

    let samples: Vec<i16> = (0..100).map(|sample| 100 * sample).collect();
    place.write("sound.wav", wav(8000, &samples));
    place.succeed("split sound.wav --out sound");
    let parts = lines_of(&place, "sound");
    assert_eq!(parts.iter().map(|part| part.len() - 1).collect::<Vec<_>>(), [60, 20, 20]);
    // The numbers are those that are read of the file: they can be fitted, and read again.
    let again = Table::read(&place.path("sound").join("trial.csv"), None).unwrap();
    let whole = Table::read(Path::new(&place.path("sound.wav")), None).unwrap();
    assert_eq!((again.columns, &again.values[..]), (whole.columns.clone(), &whole.values[80..]));
}

/// Bursts of 40 samples at 100 Hz, 50 s apart, of which each has a level of its own; and of which machine each is.
fn bursts(seed: u64, count: usize) -> Vec<String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let burst = |burst: usize| {
        let level: f32 = rng.random_range(-3.0..3.0);
        let row = |row: usize| {
            let (time, x) = (1000.0 + 50.0 * burst as f64 + 0.01 * row as f64, level + rng.random_range(-0.1..0.1f32));
            format!("{time:.2},{x},{}\n", ["north", "south"][burst % 2])
        };
        (0..40).map(row).collect::<String>()
    };
    (0..count).map(burst).collect()
}

#[test]
fn gaps_and_groups_are_ends_as_those_of_files_are() {
    let place = Workplace::new();
    let head = "time (s),x,site\n";
    let all = bursts(1, 30);
    place.write("joined.csv", format!("{head}{}", all.concat()));
    fs::create_dir(place.path("bursts")).unwrap();
    for (index, burst) in all.iter().enumerate() {
        place.write(&format!("bursts/{index}.csv"), format!("{head}{burst}"));
    }
    let settings = "--ignore site --window 8 --hop 4 --epochs 2 --batch 32 --hidden 8 --latent 2";
    let fitted = ["joined.csv", "bursts"].map(|given| {
        let fitted = place.json(&format!("fit {given} {settings} --out run-{given}"));
        ["training_windows", "held_out_windows", "validation_elbo"].map(|what| fitted[what].clone())
    });
    assert_eq!(fitted[0], fitted[1]);
    // (40 − 8) / 4 + 1 in each.
    assert_eq!(fitted[0][0].as_u64().unwrap() + fitted[0][1].as_u64().unwrap(), 30 * 9);
    place.succeed("export run-joined.csv --out model.vae --force");
    let verdicts = ["joined.csv", "bursts"].map(|given| {
        place.succeed(&format!("score model.vae {given} --out scores.csv --force"));
        let text = fs::read_to_string(place.path("scores.csv")).unwrap();
        // From the column `elbo` on.
        text.lines().map(|line| line[line.find(",-").unwrap_or(0)..].to_owned()).skip(1).collect::<Vec<String>>()
    });
    assert_eq!((verdicts[0].len(), &verdicts[0]), (30 * 9, &verdicts[1]));

    // Without a clock the group is all that tells; rows of one site that follow each other are of one piece.
    let two: String = all.iter().step_by(2).chain(all.iter().skip(1).step_by(2)).cloned().collect();
    let no_clock: String = two.lines().map(|line| line.split_once(',').unwrap().1.to_owned() + "\n").collect();
    place.write("sites.csv", format!("x,site\n{no_clock}"));
    let fitted = place
        .json("fit sites.csv --group site --window 8 --hop 4 --epochs 1 --batch 32 --hidden 8 --latent 2 --out sites");
    let count = |what: &str| fitted[what].as_u64().unwrap();
    assert_eq!(count("training_windows") + count("held_out_windows"), 2 * ((600 - 8) / 4 + 1));
}

#[test]
fn split_refuses_rows_that_are_not_in_the_order_of_time() {
    let place = Workplace::new();
    let row =
        |row: usize| format!("2024-05-01 {:02}:{:02}:00,{},{}\n", row / 60, row % 60, row % 7, ["a", "b"][row % 2]);
    place.write("newest.csv", format!("time,x,who\n{}", (0..600).rev().map(row).collect::<String>()));
    place.write("mixed.csv", format!("time,x,who\n{}", (0..600).map(row).collect::<String>()));
    let said = place.fail("split newest.csv --out parts");
    assert!(said.contains("the newest row comes first"), "{said}");
    let said = place.fail("split mixed.csv --group who --out parts");
    assert!(said.contains("the groups of `who` are mixed"), "{said}");
    assert!(!place.path("parts").exists());
    let said = place.succeed("split mixed.csv --time time --out parts");
    assert!(said.contains("vae-train fit parts/training.csv --time time --out runs/a"), "{said}");
}
