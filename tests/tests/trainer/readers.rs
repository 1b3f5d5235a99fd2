//! Tables from other formats than CSV: against files of NumPy's and SciPy's, bytes written here, and damage.

use std::{fs, io::Write, path::Path, process::Command};

use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use vae_tests::tables::{f32s, npy, wav, zip};
use vae_train::tables::{open::open, reading::Reading, recording::Label, table::Table};

use crate::workplace::{fail, run, succeed};

fn read(place: &Path, name: &str, bytes: &[u8], label: Option<&str>) -> Result<Table, String> {
    fs::write(place.join(name), bytes).unwrap();
    Table::read(&place.join(name), label).map_err(|error| format!("{error:#}"))
}

#[test]
fn files_of_numpy_and_scipy_hold_what_these_say_they_do() {
    let Some(python) = vae_tests::python("import numpy, scipy", "numpy scipy") else { return };
    let place = tempfile::tempdir().unwrap();
    let script = vae_tests::root().join("tests/python/tables.py");
    let output = Command::new(python).arg(script).arg(place.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut files = 0;
    for entry in fs::read_dir(place.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "csv") {
            continue;
        }
        let found = Table::read(&path, None).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let expected = Table::read(&path.with_file_name(format!("{name}.csv")), None).unwrap();
        assert_eq!((found.columns.len(), found.rows()), (expected.columns.len(), expected.rows()), "{name}");
        let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
        assert!(
            found.values.iter().zip(&expected.values).all(same),
            "{name}: {:?}, {:?}",
            found.values,
            expected.values
        );
        files += 1;
    }
    assert_eq!(files, 44 + 1 + 3 + 1 + 2 + 4);
    for (name, label) in [("stored.npz", "y"), ("stored.npz", "label"), ("deflated.npz", "label")] {
        let labels = Table::read(&place.path().join(name), Some(label)).unwrap().labels.unwrap();
        assert!(
            labels.len() == 300 && labels.iter().enumerate().all(|(row, label)| *label == (row % 2 == 1)),
            "{name}"
        );
    }
}

#[test]
fn arrays_in_any_order_of_bytes_and_axes() {
    let place = tempfile::tempdir().unwrap();
    let array = |bytes: &[u8]| read(place.path(), "a.npy", bytes, None).unwrap();
    let rows = array(&npy("<f4", false, "(2, 3)", &f32s([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])));
    assert_eq!(
        (rows.columns, rows.values),
        (vec!["x0".into(), "x1".into(), "x2".into()], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    );
    let columns = array(&npy("<f4", true, "(2, 3)", &f32s([1.0, 4.0, 2.0, 5.0, 3.0, 6.0])));
    assert_eq!(columns.values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let big: Vec<u8> = [-2i16, 300].into_iter().flat_map(i16::to_be_bytes).collect();
    let table = array(&npy(">i2", false, "(2,)", &big));
    assert_eq!((table.columns.len(), table.values), (1, vec![-2.0, 300.0]));
    let doubles: Vec<u8> = [0.1, f64::NAN].into_iter().flat_map(f64::to_le_bytes).collect();
    let table = array(&npy("<f8", false, "(1, 2)", &doubles));
    assert!(table.values[0] == 0.1 && table.values[1].is_nan());
    assert_eq!(array(&npy("|b1", false, "(3,)", &[0, 1, 2])).values, [0.0, 1.0, 1.0]);
    assert_eq!(array(&npy("<i8", false, "(1,)", &(-5i64).to_le_bytes())).values, [-5.0]);
    // Version 2 has a longer length.
    let one = npy("|u1", false, "(1,)", &[7]);
    assert_eq!(array(&[b"\x93NUMPY\x02\x00", &one[8..10], &[0, 0], &one[10..]].concat()).values, [7.0]);
    let label = npy("<f4", false, "(2, 2)", &f32s([3.0, 0.0, 4.0, 1.0]));
    let labelled = read(place.path(), "b.npy", &label, Some("x1")).unwrap();
    assert_eq!(
        (labelled.columns, labelled.values, labelled.labels),
        (vec!["x0".into()], vec![3.0, 4.0], Some(vec![false, true]))
    );
}

#[test]
fn archives_say_which_array_is_the_table_and_which_the_label() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let table = || npy("<f4", false, "(3, 2)", &f32s([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    let labels = || npy("|b1", false, "(3,)", &[0, 0, 1]);
    let labelled = zip(&[("X", table()), ("y", labels())]);
    for label in ["y", "label"] {
        let table = read(place, "a.npz", &labelled, Some(label)).unwrap();
        assert_eq!((table.values.len(), table.labels), (6, Some(vec![false, false, true])));
    }
    let usual = open(&place.join("a.npz"), Label::Usual, &Reading::default(), |_, _| {}).unwrap();
    assert_eq!((usual.label.as_deref(), usual.table.labels), (Some("label"), Some(vec![false, false, true])));
    assert_eq!(read(place, "a.npz", &labelled, None).unwrap().labels, None);

    let mnist =
        zip(&[("x_train", table()), ("y_train", labels()), ("x_test", npy("<f4", false, "(1, 2)", &f32s([7.0, 8.0])))]);
    let message = read(place, "m.npz", &mnist, None).unwrap_err();
    assert!(
        message.contains("`x_train [3, 2]`, `y_train [3]`, `x_test [1, 2]`: say which")
            && message.contains("data.npz:x_train"),
        "{message}"
    );
    assert_eq!(Table::read(&place.join("m.npz:x_test"), None).unwrap().values, [7.0, 8.0]);
    let train = Table::read(&place.join("m.npz:x_train"), Some("y_train")).unwrap();
    assert_eq!((train.rows(), train.labels), (3, Some(vec![false, false, true])));
    let message = format!("{:#}", Table::read(&place.join("m.npz:x_test"), Some("y_train")).unwrap_err());
    assert!(message.contains("has 3 values for the 1 rows of `x_test`"), "{message}");
    let message = format!("{:#}", Table::read(&place.join("m.npz:z"), None).unwrap_err());
    assert!(message.contains("no array `z`: there are `x_train`, `y_train`, `x_test`"), "{message}");
    let message = read(place, "e.npz", &zip(&[]), None).unwrap_err();
    assert!(message.contains("holds no array of NumPy"), "{message}");
}

#[test]
fn recordings_of_every_width_are_within_one() {
    let place = tempfile::tempdir().unwrap();
    let read = |bytes: &[u8]| read(place.path(), "a.wav", bytes, None).unwrap();
    let table = read(&wav(1, 8, 2, 8000, &[128, 0, 255, 192]));
    assert_eq!(
        (table.columns, table.values),
        (vec!["channel0".into(), "channel1".into()], vec![0.0, -1.0, 127.0 / 128.0, 0.5])
    );
    let samples: Vec<u8> = [i16::MIN, 16384].into_iter().flat_map(i16::to_le_bytes).collect();
    assert_eq!(read(&wav(1, 16, 1, 44100, &samples)).values, [-1.0, 0.5]);
    assert_eq!(read(&wav(1, 24, 1, 44100, &[0, 0, 0x80, 0, 0, 0x20])).values, [-1.0, 0.25]);
    let samples: Vec<u8> = [i32::MIN, 1 << 29].into_iter().flat_map(i32::to_le_bytes).collect();
    assert_eq!(read(&wav(1, 32, 1, 44100, &samples)).values, [-1.0, 0.25]);
    assert_eq!(read(&wav(3, 32, 1, 44100, &f32s([-2.5, 1e-3]))).values, [-2.5, 1e-3]);
    assert_eq!(
        open(&place.path().join("a.wav"), Label::None, &Reading::default(), |_, _| {}).unwrap().rate,
        Some(44100.0)
    );
}

#[test]
fn a_recording_that_was_cut_off_is_read_with_a_note_by_every_verb() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let samples: Vec<u8> = (0..4000i16).flat_map(|i| (8000 - i * 7 % 4001).to_le_bytes()).collect();
    let whole = wav(1, 16, 1, 8000, &samples);
    fs::write(place.join("whole.wav"), &whole).unwrap();
    fs::write(place.join("cut.wav"), &whole[..whole.len() - 2001]).unwrap();
    let said = "its header promises 4000 samples, and there are 2999, and 1 bytes of one more, which are left out";
    for command in ["inspect cut.wav", "fit cut.wav --window 8 --hop 8 --epochs 1 --out run"] {
        let output = run(place, command);
        let said_by = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success() && said_by.contains(said), "{command}: {said_by}");
    }
    succeed(place, "export run --out model.vae");
    let notes = String::from_utf8(run(place, "score model.vae cut.wav --out scores.csv").stderr).unwrap();
    assert!(notes.contains(said), "{notes}");
    assert!(!succeed(place, "inspect whole.wav").contains("promises"));
}

#[test]
fn a_model_of_all_columns_takes_few_rows_of_many_columns() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let images = |rows: usize| {
        let shape = format!("({rows}, 64)");
        npy("|u1", false, &shape, &(0..rows * 64).map(|i| (i * i % 251) as u8).collect::<Vec<_>>())
    };
    fs::write(place.join("train.npy"), images(60)).unwrap();
    fs::write(place.join("few.npy"), images(5)).unwrap();
    succeed(place, "fit train.npy --epochs 1 --batch 16 --out run");
    succeed(place, "export run --out model.vae --precision f32 --force");
    succeed(place, "score model.vae few.npy --out scores.csv");
    assert!(fail(place, "inspect few.npy").contains("if it is 5 channels of 64 samples, np.save('new.npy', a.T)"));
    // Of these columns a model of three would take the first ones.
    fs::write(place.join("three.npy"), npy("|u1", false, "(60, 3)", &images(3)[80..260])).unwrap();
    succeed(place, "fit three.npy --epochs 1 --batch 16 --out three");
    succeed(place, "export three --out three.vae --precision f32 --force");
    assert!(fail(place, "score three.vae few.npy --out no.csv").contains("5 channels of 64 samples"));
}

/// Written by pyarrow: Snappy, dictionaries, a null.
const PARQUET: &[u8] = include_bytes!("../../fixtures/table.parquet");

#[test]
fn parquet_columns_are_numbers_with_gaps() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.parquet");
    match read(place.path(), "a.parquet", PARQUET, Some("flag")) {
        Ok(table) => {
            assert_eq!(table.columns, ["time", "a", "b"]);
            assert_eq!(table.labels, Some(vec![true, false, false, true]));
            assert!(table.values[4].is_nan());
            let first = f64::from(table.values[0]) + table.origins[0];
            assert_eq!((first, table.values[1], table.values[11]), (1_704_067_200.0, 1.5, 4.0));
            let clocks = open(&path, Label::None, &Reading::default(), |_, _| {}).unwrap().clocks;
            assert_eq!((clocks[0].column.as_str(), clocks[0].rate), ("time", Some(4.0)));
            let message = read(place.path(), "a.parquet", &PARQUET[..PARQUET.len() - 9], None).unwrap_err();
            assert!(message.contains("a.parquet cannot be read as Parquet"), "{message}");
        }
        Err(message) => {
            assert!(message.contains("--features parquet`, or save the table as CSV"), "{message}");
            let _ = writeln!(std::io::stderr(), "SKIPPED, needs --features vae-train/parquet");
        }
    }
}

#[test]
fn what_cannot_be_read_is_named_with_what_was_found_and_is_accepted() {
    let place = tempfile::tempdir().unwrap();
    let four = f32s([1.0; 4]);
    let huge = format!("({}, {})", u64::MAX / 8, 16);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "a.npy",
            npy("<c16", false, "(1,)", &[0; 16]),
            "its elements are `<c16` (complex numbers), and bool and numbers of 8 to 64 bits are read: take np.abs(a)",
        ),
        ("a.npy", npy("<U3", false, "(1,)", &[0; 12]), "`<U3`"),
        (
            "a.npy",
            npy("<f4", false, "(2, 1, 2)", &four),
            "2 windows of 1 samples × 2 channels become one with a.reshape(-1, 2), fit --window 1 --hop 1",
        ),
        ("a.npy", npy("<f4", false, "()", &four), "its shape is [] and a table has two dimensions"),
        ("a.npy", npy("<f4", false, "(0, 4)", &[]), "its shape is [0, 4]: it holds no value"),
        ("a.npy", npy("<f4", false, "(1, 70000)", &[]), "at most 65536 columns"),
        ("a.npy", npy("<f4", false, "(3, 2)", &four), "needs 6 values and there are 4: it was cut off"),
        ("a.npy", npy("<f4", false, "(3,)", &four), "goes on behind its 3 values"),
        ("a.npy", npy("<f4", false, &huge, &four), "too large"),
        ("a.npy", npy("<f4", false, "(1000000000000, 4)", &four), "there are 4: it was cut off"),
        ("a.npy", npy("<f4", false, "(2, -2)", &four), "no valid shape"),
        ("a.npy", npy("<f4", false, "(2,)", &f32s([1.0, f32::INFINITY])), "row 2, column `x0` is infinite"),
        ("a.npy", b"\x93NUMPY\x09\x00aa".to_vec(), "NPY version is 9: 1 to 3 are known"),
        ("a.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "header has 4294967295 bytes"),
        ("a.npy", b"\x93NUMPY\x01\x00\x10".to_vec(), "ends in the header"),
        ("a.npy", b"1,2\n".to_vec(), "is not NPY, as its name says"),
        ("a.csv", npy("<f4", false, "(4,)", &four), "named as CSV but begins as NPY does: rename it"),
        ("a.npz", b"PK\x03\x04 no archive".to_vec(), "zip archive cannot be read"),
        (
            "a.wav",
            wav(2, 16, 1, 8000, &[0; 4]),
            "holds ADPCM: PCM of 8, 16, 24 or 32 bits and floating-point of 32 or 64",
        ),
        (
            "a.wav",
            wav(1, 16, 1, 8000, &[0; 4])[..45].to_vec(),
            "has no rows: its header is followed by no whole sample",
        ),
        ("a.npy", npy("<f4", false, "(1, 8)", &f32s([1.0; 8])), "if it is one signal of 8 samples"),
        ("a.npy", npy("|u1", false, "(3, 24)", &[1; 72]), "3 channels of 24 samples, np.save('new.npy', a.T)"),
        ("a.csv", b"{\"a\": 1}\n".to_vec(), "is JSON, and no table that is read"),
        ("a.wav", wav(1, 16, 1, 8000, &[]), "has no rows"),
    ];
    for (name, bytes, expected) in cases {
        let message = read(place.path(), name, &bytes, None).unwrap_err();
        assert!(message.contains(expected) && message.contains(name), "{expected}: {message}");
    }
}

#[test]
fn damaged_files_are_errors_or_tables_but_no_panic() {
    let place = tempfile::tempdir().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let array = npy("<f4", true, "(6, 2)", &f32s((0..12).map(|i| i as f32)));
    let samples: Vec<u8> = (0..40).collect();
    let whole = [
        ("a.npy", array.clone()),
        ("a.npz", zip(&[("X", array), ("y", npy("|b1", false, "(6,)", &[0; 6]))])),
        ("a.wav", wav(1, 16, 2, 8000, &samples)),
        ("b.wav", wav(3, 32, 1, 8000, &samples)),
    ];
    let (mut read_whole, mut refused) = (0, 0);
    for (name, bytes) in &whole {
        for _ in 0..1500 {
            let mut damaged = bytes.clone();
            for _ in 0..rng.random_range(1..4) {
                let index = rng.random_range(0..damaged.len());
                damaged[index] = *[0, 1, 0x7f, 0xff, b'9', rng.random()].choose(&mut rng).unwrap();
            }
            damaged.truncate(rng.random_range(0..2 * damaged.len()).max(1));
            match read(place.path(), name, &damaged, None) {
                // Values grow with the bytes that there are.
                Ok(table) => {
                    read_whole += 1;
                    assert!(table.rows() > 0 && table.values.len() <= 4 * damaged.len());
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read_whole > 500 && refused > 500, "{read_whole} {refused}");
}

#[test]
fn every_verb_takes_arrays_and_recordings() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut rows = |count: usize, fault: f32| -> Vec<f32> {
        let row = |_| {
            let [t, noise]: [f32; 2] = [rng.random_range(-1.0..1.0), rng.random_range(-0.05..0.05)];
            [t, 2.0 * t + noise, 1.0 - t + fault]
        };
        (0..count).flat_map(row).collect()
    };
    fs::write(place.join("train.npy"), npy("<f4", false, "(2000, 3)", &f32s(rows(2000, 0.0)))).unwrap();
    let test = [rows(200, 0.0), rows(200, 0.8)].concat();
    let labels: Vec<u8> = (0..400).map(|row| u8::from(row >= 200)).collect();
    let test =
        zip(&[("X", npy("<f4", false, "(400, 3)", &f32s(test))), ("label", npy("|u1", false, "(400,)", &labels))]);
    fs::write(place.join("test.npz"), test).unwrap();

    assert!(succeed(place, "inspect train.npy").contains("train.npy: 2000 rows"));
    succeed(place, "fit train.npy --out run --epochs 10 --batch 32 --hidden 16 --latent 2 --learning-rate 0.01");
    succeed(place, "calibrate run --normal train.npy --alarms 60/hour --rate 1 --votes 1/1 --force");
    succeed(place, "attribute run test.npz --label label");
    succeed(place, "export run --out model.vae --force");
    succeed(place, "score model.vae test.npz --out scores.csv --label label");
    let auroc: Value = serde_json::from_str(&succeed(place, "evaluate model.vae test.npz --json")).unwrap();
    assert!(auroc["auroc"].as_f64().unwrap() > 0.95, "{auroc}");
    succeed(place, "diff model.vae model.vae --data test.npz");
    succeed(place, "generate model.vae --like test.npz --out like.csv -n 5");
    // The array's own name will do.
    fs::write(
        place.join("y.npz"),
        zip(&[
            ("X", npy("<f4", false, "(400, 3)", &f32s(rows(400, 0.0)))),
            ("y", npy("|u1", false, "(400,)", &labels)),
        ]),
    )
    .unwrap();
    succeed(place, "fit y.npz --label y --out y --epochs 1 --batch 32");
    // Neither of two arrays that could be the table is it, once the other is the label.
    let x = f32s(rows(400, 0.0)).chunks(12).flat_map(|row| row[..4].to_vec()).collect::<Vec<u8>>();
    let arrays = [("x", npy("<f4", false, "(400,)", &x)), ("fault", npy("|u1", false, "(400,)", &labels))];
    fs::write(place.join("fault.npz"), zip(&arrays)).unwrap();
    let inspected = succeed(place, "inspect fault.npz --label fault");
    assert!(inspected.contains("400 rows") && inspected.contains("200 of them labelled 1"), "{inspected}");
    succeed(place, "fit fault.npz --label fault --out fault --epochs 1 --batch 32 --latent 1");
    let message = fail(place, "calibrate fault --normal fault.npz --label fault --alarms 60/hour --votes 1/1 --force");
    assert!(message.contains("200 windows of normal data are too few"), "{message}");

    // A recording brings its rate.
    let mut hum = |count: usize, phase: f32| -> Vec<u8> {
        let sample = |i| (8000.0 * (0.3 * i as f32 + phase).sin() + rng.random_range(-1500.0..1500.0)) as i16;
        (0..count).map(sample).flat_map(i16::to_le_bytes).collect()
    };
    fs::write(place.join("hum.wav"), wav(1, 16, 1, 8000, &hum(8000, 0.0))).unwrap();
    fs::write(place.join("holdout.wav"), wav(1, 16, 1, 8000, &hum(64000, 1.0))).unwrap();
    let inspected: Value = serde_json::from_str(&succeed(place, "inspect hum.wav --json")).unwrap();
    assert_eq!(inspected["rate"], 8000.0);
    let message = fail(place, "inspect hum.wav --rate 4000");
    assert!(message.contains("--rate 4000: hum.wav has 8000 rows a second, by its head"), "{message}");
    let inspected = succeed(place, "inspect hum.wav --rate 4000 --force --json");
    assert_eq!(serde_json::from_str::<Value>(&inspected).unwrap()["rate"], 4000.0);
    succeed(place, "fit hum.wav --window 16 --hop 16 --out hum --epochs 3 --batch 32 --hidden 8");
    let output = run(place, "calibrate hum --normal holdout.wav --alarms 3600/hour --votes 1/1 --force");
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && notes.contains("no --rate: 8000 rows a second, as holdout.wav says"), "{notes}");
    let message = fail(place, "calibrate hum --normal holdout.wav --rate 16000");
    assert!(message.contains("--rate 16000: holdout.wav has 8000 rows a second, by its head"), "{message}");
    succeed(place, "export hum --out hum.vae --precision f32");
    let info: Value = serde_json::from_str(&succeed(place, "info hum.vae --json")).unwrap();
    assert_eq!((&info["sample_rate"], &info["channels"][0]["name"]), (&8000.0.into(), &"channel0".into()));
}
