//! A table is read once: from a pipe, which can be read only once, every verb makes what it makes of a file, plain or compressed.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_tests::tables::{f32s, npy, wav, zip};
use vae_train::tables::{open::open, reading::Reading, recording::Label};

use crate::workplace::{Workplace, message};

/// Rows of three dependent columns, of a clock of 100 Hz, of names, and of a label; the last third is anomalous where `faulty`.
fn rows(seed: u64, count: usize, faulty: bool) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut text = String::from("time,a,b,c,who,label\n");
    for row in 0..count {
        let [a, b, c]: [f32; 3] = [(); 3].map(|()| rng.random_range(-1.0..1.0));
        let anomaly = faulty && row >= 2 * count / 3;
        let b = if anomaly { b } else { 2.0 * a + 0.1 * b };
        text += &format!("{},{a},{b},{},x,{}\n", row as f64 / 100.0, 5.0 - a + 0.1 * c, u8::from(anomaly));
    }
    text
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// Runs a command that reads `file` as a pipe of that name, which is fed once.
fn run_from_pipe(place: &Workplace, file: &str, contents: &[u8], arguments: &str) -> Output {
    let pipe = place.path(file);
    let _ = fs::remove_file(&pipe);
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let child = place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Whoever opens it again waits for ever.
    let mut end = File::options().write(true).open(&pipe).unwrap();
    // What is refused is not read to its end.
    let _ = end.write_all(contents);
    drop(end);
    child.wait_with_output().unwrap()
}

fn run_from_standard_input(place: &Workplace, contents: &[u8], arguments: &str) -> Output {
    let mut child =
        place.command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(contents);
    child.wait_with_output().unwrap()
}

fn succeeded(arguments: &str, output: &Output) -> String {
    assert!(output.status.success(), "{arguments}: {}", message(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a program says, but for how fast it was and what its file is called.
fn words(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.contains(" windows/s, "));
    lines.map(|line| line.replace(".csv.gz", ".csv") + "\n").collect()
}

/// The verbs that take a table, each with what it makes.
const VERBS: [(&str, &str, Option<&str>); 6] = [
    ("train.csv", "inspect train.csv --json", None),
    (
        "train.csv",
        "fit train.csv --out run --ignore who --epochs 3 --batch 32 --hidden 8 --latent 2",
        Some("run/checkpoint.bin"),
    ),
    ("train.csv", "fit train.csv --out run --resume", Some("run/checkpoint.bin")),
    ("holdout.csv", "calibrate run --normal holdout.csv --votes 1/1 --force", Some("run/normal.bin")),
    ("test.csv", "score model.vae test.csv --out scores.csv --force", Some("scores.csv")),
    ("test.csv", "evaluate model.vae test.csv --json", None),
];

#[test]
fn every_verb_makes_of_a_pipe_what_it_makes_of_a_file() {
    let tables =
        [("train.csv", rows(1, 600, false)), ("holdout.csv", rows(2, 900, false)), ("test.csv", rows(3, 300, true))];
    let contents = |file: &str| tables.iter().find(|(name, _)| *name == file).unwrap().1.clone().into_bytes();
    let [of_files, of_pipes, of_packed] = [(); 3].map(|()| Workplace::new());
    tables.iter().for_each(|(name, text)| of_files.write(name, text));
    for (file, arguments, made) in VERBS {
        let expected = of_files.run(arguments);
        let found = [
            (&of_pipes, run_from_pipe(&of_pipes, file, &contents(file), arguments)),
            (&of_packed, {
                let packed = format!("{file}.gz");
                of_packed.write(&packed, gzip(&contents(file)));
                of_packed.run(&arguments.replace(file, &packed))
            }),
        ];
        for (place, found) in found {
            assert_eq!(words(&succeeded(arguments, &found)), words(&succeeded(arguments, &expected)), "{arguments}");
            assert_eq!(words(&message(&found)), words(&message(&expected)), "{arguments}");
            if let Some(made) = made.filter(|made| !made.ends_with("normal.bin") || std::ptr::eq(place, &of_pipes)) {
                assert!(fs::read(place.path(made)).unwrap() == fs::read(of_files.path(made)).unwrap(), "{arguments}");
            }
            if arguments.starts_with("calibrate") {
                place.succeed("export run --out model.vae --force");
            }
        }
        if arguments.starts_with("calibrate") {
            of_files.succeed("export run --out model.vae --force");
        }
    }
    // Also where the file is one that was trained on, which is told without a second look at it.
    for arguments in ["calibrate run --normal train.csv", "calibrate run --normal train.csv --label c --force"] {
        let expected = of_files.run(arguments);
        let found = run_from_pipe(&of_pipes, "train.csv", &contents("train.csv"), arguments);
        assert_eq!(
            (words(&message(&found)), found.status.code()),
            (words(&message(&expected)), expected.status.code())
        );
    }
    assert!(of_files.fail("calibrate run --normal train.csv").contains("is what the model was trained on"));
}

#[test]
fn standard_input_is_a_dash() {
    let place = Workplace::new();
    let train = rows(1, 600, false).into_bytes();
    let fit = "fit - --out run --ignore who --epochs 2 --batch 32 --hidden 8 --latent 2";
    let output = run_from_standard_input(&place, &train, fit);
    succeeded(fit, &output);
    assert!(message(&output).contains("standard input: column `time` tells the time"), "{}", message(&output));
    let resume = "fit - --out run --resume";
    succeeded(resume, &run_from_standard_input(&place, &zstd(&train), resume));
    let words = message(&run_from_standard_input(&place, rows(2, 600, false).as_bytes(), resume));
    assert!(words.contains("standard input is not what the run in run was started with"), "{words}");
    let words = message(&run_from_standard_input(&place, b"", resume));
    assert!(
        words.contains("the run in run goes on with the data that it was started with: give them again"),
        "{words}"
    );
    let calibrate = "calibrate run --normal /dev/stdin --votes 1/1 --force";
    succeeded(calibrate, &run_from_standard_input(&place, rows(3, 900, false).as_bytes(), calibrate));
    place.succeed("export run --out model.vae --force");
    let test = rows(4, 300, true);
    place.write("test.csv", &test);
    for arguments in ["score model.vae - --out scores.csv", "score model.vae test.csv --out of-file.csv"] {
        succeeded(arguments, &run_from_standard_input(&place, &gzip(test.as_bytes()), arguments));
    }
    assert_eq!(fs::read(place.path("scores.csv")).unwrap(), fs::read(place.path("of-file.csv")).unwrap());
    let inspect = "inspect - --json";
    let found: serde_json::Value =
        serde_json::from_str(&succeeded(inspect, &run_from_standard_input(&place, test.as_bytes(), inspect))).unwrap();
    assert_eq!((&found["file"], &found["rows"]), (&"-".into(), &300.into()));
}

/// What the formats hold besides CSV: the same small table.
fn formats() -> Vec<(&'static str, Vec<u8>)> {
    let values: Vec<f32> = (0..60).map(|value| (value % 7) as f32).collect();
    let data = f32s(values.iter().copied());
    let array = npy("<f4", false, "(20, 3)", &data);
    let idx =
        [&[0, 0, 8, 2, 0, 0, 0, 20, 0, 0, 0, 3][..], &values.iter().map(|value| *value as u8).collect::<Vec<_>>()];
    let csv: String = values.chunks(3).map(|row| format!("{},{},{}\n", row[0], row[1], row[2])).collect();
    vec![
        ("a.csv", format!("a,b,c\n{csv}").into_bytes()),
        ("a.wav", wav(3, 32, 3, 8000, &data)),
        ("a-idx2-ubyte", idx.concat()),
        ("a.npz", zip(&[("X", array.clone()), ("y", npy("|b1", false, "(20,)", &[0; 20]))])),
        ("a.npy", array),
        ("a.parquet", fs::read(vae_tests::root().join("tests/fixtures/table.parquet")).unwrap()),
    ]
}

#[test]
fn every_format_is_read_from_a_pipe_and_compressed() {
    let place = Workplace::new();
    let mut formats = formats();
    let has_parquet = {
        place.write("a.parquet", &formats[5].1);
        open(&place.path("a.parquet"), Label::None, &Reading::default(), |_, _| {}).is_ok()
    };
    if !has_parquet {
        vae_tests::skip("Parquet needs --features vae-train/parquet");
        formats.pop();
    }
    for (name, bytes) in formats {
        place.write(name, &bytes);
        let file = format!("inspect {name} --json");
        let expected = place.succeed(&file);
        // By the first bytes, where there is no name that says it.
        let piped = succeeded(name, &run_from_standard_input(&place, &bytes, "inspect - --json"));
        let packed = succeeded(name, &run_from_standard_input(&place, &zstd(&bytes), "inspect - --json"));
        assert_eq!(piped, packed);
        assert_eq!(piped.replace("\"-\"", &format!("\"{name}\"")), expected, "{name}");
        assert_eq!(succeeded(name, &run_from_pipe(&place, name, &bytes, &file)), expected, "{name}");
        for (ending, packed) in [("gz", gzip(&bytes)), ("zst", zstd(&bytes))] {
            let packed_name = format!("{name}.{ending}");
            place.write(&packed_name, packed);
            let found = place.succeed(&format!("inspect {packed_name} --json"));
            assert_eq!(found.replace(&packed_name, name), expected, "{packed_name}");
        }
    }
}

#[test]
fn what_swells_or_is_cut_off_is_refused_with_the_numbers() {
    let place = Workplace::new();
    // One row of 300 MiB would be too long a row.
    let text = format!("a\n{}", format!("{}\n", "0".repeat(1023)).repeat(300 << 10));
    for (name, bomb) in [("bomb.csv.gz", gzip(text.as_bytes())), ("bomb.csv.zst", zstd(text.as_bytes()))] {
        place.write(name, &bomb);
        let of_file = place.fail(&format!("inspect {name}"));
        let expected = format!("bytes or more, and of a file of {} bytes at most 268435456 are taken", bomb.len());
        assert!(of_file.contains(&expected), "{of_file}");
        // Of a pipe what has come of it counts.
        let of_pipe = message(&run_from_standard_input(&place, &bomb, "inspect -"));
        for words in [of_file, of_pipe] {
            assert!(
                words.contains("cannot be read: it unpacks to 268") && words.contains("at most 268435456 are taken"),
                "{words}"
            );
        }
    }
    let whole = rows(1, 600, false);
    for (name, packed) in [("cut.csv.gz", gzip(whole.as_bytes())), ("cut.csv.zst", zstd(whole.as_bytes()))] {
        place.write(name, &packed[..packed.len() - 5]);
        let words = place.fail(&format!("inspect {name}"));
        assert!(words.contains("it is damaged or cut off") && words.contains(name), "{words}");
    }
}

/// The separator and the format are told by the first bytes however they come.
#[test]
fn a_pipe_that_gives_a_byte_at_a_time_is_read_as_a_file_is() {
    let place = Workplace::new();
    let pipe = place.path("slow");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let text = "a;b;c\n1,5;2;3\n4;5;6\n";
    let read = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut end = File::options().write(true).open(&pipe).unwrap();
            for byte in text.bytes() {
                end.write_all(&[byte]).unwrap();
                std::thread::yield_now();
            }
        });
        open(Path::new(&pipe), Label::None, &Reading::default(), |_, _| {}).unwrap()
    });
    assert_eq!((read.table.columns.len(), &read.table.values[..3]), (3, &[1.5, 2.0, 3.0][..]));
}
