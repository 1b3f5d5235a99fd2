//! Whoever reads what a verb prints may have had enough, as `head -1` has: the verb does its work and ends quietly.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _, pipe},
    process::{Output, Stdio},
};

use crate::workplace::{Workplace, message};

/// Runs a command whose standard output nobody reads.
fn unread(place: &Workplace, arguments: &str, input: &[u8]) -> Output {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut command = place.command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    drop(command); // and its end of the pipe
    // What is not wanted is not read to its end.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn every_verb_that_prints_ends_quietly_where_nobody_reads() {
    let place = Workplace::new();
    place.write("log.txt", "threshold     300.0 nats\n  0.50 s  normal        361.201 nats, p = 0.019\n");
    let log = fs::read(place.path("log.txt")).unwrap();
    for (arguments, made) in [
        ("simulate motor --out data --seconds 8", Some("data/train.csv")),
        ("inspect data/train.csv", None),
        ("inspect data/train.csv --json", None),
        ("split data/train.csv --out parts", Some("parts/training.csv")),
        ("fit data/train.csv --out run --window 16 --hop 8 --hidden 8 --latent 2 --epochs 2", Some("run/summary.json")),
        ("calibrate run --normal parts/calibration.csv --force", Some("run/normal.bin")),
        ("attribute run data/test.csv --label label --name fault", None),
        ("export run --out model.vae --force", Some("model.vae")),
        ("info model.vae", None),
        ("info model.vae --card", None),
        ("score model.vae data/test.csv --label label --out scores.csv", Some("scores.csv")),
        ("evaluate model.vae data/test.csv --label label", None),
        ("diff model.vae model.vae --data data/test.csv --label label", None),
        ("generate model.vae -n 10 --out samples.csv", Some("samples.csv")),
        ("report run --out report.html", Some("report.html")),
        ("keygen --out key.pem", Some("key.pub")),
        ("sign model.vae --key key.pem --counter 1 --out signed.vae", Some("signed.vae")),
        ("verify signed.vae --key key.pub", None),
        ("manual manual", Some("manual/man")),
        ("watch -", None),
        ("--help", None),
        ("fit --help", None),
        ("--version", None),
    ] {
        let output = unread(&place, arguments, if arguments == "watch -" { &log } else { b"" });
        let said = message(&output);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {said}");
        let lines =
            said.lines().filter(|line| line.starts_with("error") || line.contains("panicked") || line.contains("pipe"));
        assert_eq!(lines.count(), 0, "{arguments}: {said}");
        assert!(made.is_none_or(|made| place.path(made).exists()), "{arguments} makes {made:?}");
    }
}

/// What was read before is whole, and what was not is no error.
#[test]
fn the_first_line_is_enough() {
    let place = Workplace::new();
    let rows = (0..3000).fold(String::from("a,b\n"), |text, row| text + &format!("{},{}\n", row % 7, row % 11));
    place.write("train.csv", rows);
    let mut child = place.command("inspect train.csv").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::with_capacity(1, child.stdout.take().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    drop(reader);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success() && !said.contains("error"), "{said}");
    assert!(first.starts_with("train.csv: 3000 rows"), "{first}");
}
